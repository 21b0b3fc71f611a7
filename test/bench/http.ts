/** A quote over REST and over GraphQL, against bare node:http that answers the same bytes, in turns. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import autocannon from "autocannon";
import { type BenchRow, median, spread } from "./row.ts";

const ROUNDS = 7;
const ROUND_SECONDS = 3;
const CONNECTIONS = 32;
const HEADERS = { "content-type": "application/json" };
const WISH = { gpu: "h100-sxm", gpus_per_node: 8, nodes: 2, duration_seconds: 14_400 };
const QUERY = `mutation Quote($input: CreateQuoteInput!) { createQuote(input: $input) {
  id object token createdAt expiresAt gpu nodes gpusPerNode durationSeconds rttMsMax
  pricePerGpuHour { amount currency } total { amount currency } lines { kind description amount { amount currency } }
  plan { rank country region interconnect reliability isolation supplierClass pricePerGpuHour { amount currency } }
  alternatives { constraint }
} }`;
const GRAPHQL = {
  query: QUERY,
  variables: { input: { gpu: "h100-sxm", gpusPerNode: 8, nodes: 2, durationSeconds: 14_400 } },
};

interface Server {
  readonly process: ChildProcess;
  readonly url: string;
}

async function start(kind: "volley" | "floor"): Promise<Server> {
  const child = fork(new URL("http-server.ts", import.meta.url), [kind]);
  const [message] = (await once(child, "message")) as [{ url: string }];
  return { process: child, ...message };
}

async function requestsPerSecond(url: string, body: string): Promise<number> {
  const result = await autocannon({
    url,
    method: "POST",
    headers: HEADERS,
    body,
    connections: CONNECTIONS,
    duration: ROUND_SECONDS,
  });
  if (result.non2xx > 0 || result.errors > 0) throw new Error(`${result.non2xx} answers of ${url} were not 2xx`);
  return result.requests.total / result.duration;
}

async function textOf(url: string, body: string): Promise<string> {
  const answer = await fetch(url, { method: "POST", headers: HEADERS, body, signal: AbortSignal.timeout(30_000) });
  const text = await answer.text();
  if (!answer.ok || text.includes('"errors"'))
    throw new Error(`${url} answered ${answer.status}: ${text.slice(0, 500)}`);
  return text;
}

function row(subject: string, ours: number[], peer: number[], peerName: string, goal: number): BenchRow {
  const ratio = median(ours.map((value, round) => value / (peer[round] as number)));
  return {
    subject,
    ours: `${spread(ours)}/s`,
    peer: `${peerName} ${spread(peer)}/s`,
    ratio: `${(ratio * 100).toFixed(0)} %`,
    goal: `≥ ${goal * 100} %`,
    met: ratio >= goal,
  };
}

export async function benchHttp(): Promise<BenchRow[]> {
  const [volley, floor] = await Promise.all([start("volley"), start("floor")]);
  try {
    const rest = { url: `${volley.url}/v1/quotes`, body: JSON.stringify(WISH) };
    const graphql = { url: `${volley.url}/graphql`, body: JSON.stringify(GRAPHQL) };
    await textOf(graphql.url, graphql.body);
    floor.process.send(await textOf(rest.url, rest.body));
    await once(floor.process, "message");
    for (const { url, body } of [rest, graphql, { url: floor.url, body: rest.body }])
      await requestsPerSecond(url, body);
    const figures = { rest: [] as number[], graphql: [] as number[], floor: [] as number[] };
    for (let round = 0; round < ROUNDS; round++) {
      figures.rest.push(await requestsPerSecond(rest.url, rest.body));
      figures.floor.push(await requestsPerSecond(floor.url, rest.body));
      figures.graphql.push(await requestsPerSecond(graphql.url, graphql.body));
    }
    return [
      row("quote over REST, signed", figures.rest, figures.floor, "bare node:http", 0.25),
      row("quote over GraphQL", figures.graphql, figures.rest, "REST", 0.6),
    ];
  } finally {
    volley.process.disconnect();
    floor.process.disconnect();
  }
}

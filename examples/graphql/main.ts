/** The whole rental through GraphQL, with nothing but fetch; the wallet is another program that gets only a link. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { readLocal } from "../local.ts";
import { ask, type Endpoint, subscribe } from "./graphql.ts";

interface Cluster {
  readonly id: string;
  readonly status: string;
  readonly statusReason: string | null;
  readonly secret: string;
  readonly payment: { readonly solanaPay: { readonly url: string } };
}

interface Output {
  readonly type: "stdout" | "stderr" | "exit";
  readonly rank: number;
  readonly data: string | null;
  readonly code: number | null;
}

const READY_MS_MAX = 180_000;
const POLL_MS = 500;

async function untilRunning(endpoint: Endpoint, id: string): Promise<void> {
  const deadlineMs = Date.now() + READY_MS_MAX;
  while (Date.now() < deadlineMs) {
    const query = "query ($id: ID!) { cluster(id: $id) { status statusReason } }";
    const { status, statusReason } = await ask<Cluster>(endpoint, query, { id });
    if (status === "running") return;
    if (status !== "awaiting_payment" && status !== "provisioning") throw new Error(`${status}: ${statusReason}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  throw new Error("The cluster did not get ready in time.");
}

async function use(endpoint: Endpoint, { id, payment }: Cluster): Promise<void> {
  const wallet = fileURLToPath(new URL("pay.ts", import.meta.url));
  const { stdout: signature } = await promisify(execFile)(process.execPath, [wallet, payment.solanaPay.url]);
  console.log(`Paid: ${signature.trim()}.`);
  await untilRunning(endpoint, id);
  console.log("Running.");
  const exec = `subscription ($id: ID!, $input: ClusterExecInput!) {
    clusterExec(id: $id, input: $input) { type rank data code }
  }`;
  const input = { command: "echo hello from rank $VOLLEY_RANK of $VOLLEY_WORLD_SIZE" };
  for await (const { type, rank, data, code } of subscribe<Output>(endpoint, exec, { id, input })) {
    if (type !== "exit") process.stdout.write(`rank ${rank} | ${data}`);
    else if (code !== 0) throw new Error(`Rank ${rank} exited with ${code}.`);
  }
}

const endpoint: Endpoint = { url: (await readLocal()).graphqlUrl };

const quote = await ask<{ token: string; total: { amount: string } }>(
  endpoint,
  "mutation ($input: CreateQuoteInput!) { createQuote(input: $input) { token total { amount } } }",
  { input: { gpu: "cpu", nodes: 2, durationSeconds: 600 } },
);
console.log(`Quoted: ${quote.total.amount} USDC.`);

const cluster = await ask<Cluster>(
  endpoint,
  "mutation ($input: ReserveClusterInput!) { reserveCluster(input: $input) { id secret payment { solanaPay { url } } } }",
  { input: { quoteToken: quote.token } },
);
endpoint.secret = cluster.secret;
console.log(`Reserved: ${cluster.id}.`);

try {
  await use(endpoint, cluster);
} finally {
  const { bill } = await ask<{ bill: Record<"charged" | "paid", { amount: string }> }>(
    endpoint,
    "mutation ($id: ID!) { teardownCluster(id: $id) { bill { charged { amount } paid { amount } } } }",
    { id: cluster.id },
  );
  console.log(`Torn down: ${bill.charged.amount} of ${bill.paid.amount} USDC charged; the rest is credit.`);
}

import { serve } from "@hono/node-server";
import { VolleyError } from "@volley/schema";
import { createClient } from "graphql-sse";
import { afterEach, expect, test, vi } from "vitest";
import { CLUSTER_ID, type FakeOptions, fakeApp } from "./fake-app.ts";

const line = (data: string) => ({
  type: "stdout" as const,
  rank: 0,
  data,
  encoding: "utf-8" as const,
  code: null,
  reason: null,
});
const LOGS = "subscription($id: ID!, $after: String) { clusterLogs(id: $id, lastEventId: $after) { data cursor } }";

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

/** The app behind a real socket, and the client of graphql-sse in its distinct connections mode. */
async function start(options: FakeOptions) {
  const { app } = fakeApp(options);
  const url = await new Promise<string>((resolve) => {
    const server = serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }, ({ port }) =>
      resolve(`http://127.0.0.1:${port}/graphql/stream`),
    );
    closing.push(() => server.close());
  });
  const client = createClient({ url, retryAttempts: 0 });
  closing.push(() => client.dispose());
  return { url, client };
}

test("a subscription yields what the verb yields, each with the cursor to resume after", async () => {
  const inputs: unknown[] = [];
  const { client } = await start({
    verbs: {
      "clusters.logs": async function* (_, input) {
        inputs.push(input);
        yield { id: "0.8", data: line("one") };
        yield { id: "0.9", data: line("two") };
      },
    },
  });
  const results: unknown[] = [];
  for await (const result of client.iterate({ query: LOGS, variables: { id: CLUSTER_ID, after: "0.7" } }))
    results.push(result);
  expect(inputs).toEqual([{ id: CLUSTER_ID, follow: true, last_event_id: "0.7" }]);
  expect(results).toEqual([
    { data: { clusterLogs: { data: "one", cursor: "0.8" } } },
    { data: { clusterLogs: { data: "two", cursor: "0.9" } } },
  ]);
});

test("errors come as results, with the registry's members", async () => {
  const { client } = await start({
    verbs: {
      "clusters.logs": async function* () {
        yield { id: "0.8", data: line("one") };
        throw new VolleyError("not_found", "No such cluster.");
      },
    },
  });
  const collect = async (query: string, variables = {}) => {
    const results: unknown[] = [];
    for await (const result of client.iterate({ query, variables })) results.push(result);
    return results;
  };
  const broken = await collect(LOGS, { id: CLUSTER_ID });
  expect(broken).toHaveLength(2);
  expect(broken[1]).toMatchObject({
    errors: [{ message: "No such cluster.", extensions: { code: "not_found", status: 404 } }],
  });
  expect(await collect("subscription { nothing }")).toMatchObject([
    { errors: [{ extensions: { code: "graphql_invalid" } }] },
  ]);
  expect(await collect("subscription {")).toMatchObject([{ errors: [{ extensions: { code: "graphql_invalid" } }] }]);
  expect(await collect(LOGS, { id: "nd_1" })).toMatchObject([{ errors: [{ extensions: { code: "invalid_field" } }] }]);
  expect(await collect(LOGS, {})).toMatchObject([{ errors: [{ extensions: { code: "invalid_field" } }] }]);
  const aliases = Array.from({ length: 40 }, (_, i) => `a${i}: __typename`).join(" ");
  expect(await collect(`{ ${aliases} }`)).toMatchObject([{ errors: [{ extensions: { code: "query_too_complex" } }] }]);
  expect(await collect("{ __typename }")).toEqual([{ data: { __typename: "Query" } }]);
});

test("when the client unsubscribes, the verb is told", async () => {
  let cleaned = false;
  const { client } = await start({
    verbs: {
      "clusters.logs": async function* (ctx) {
        try {
          yield { id: "0.1", data: line("one") };
          await ctx.hints.wait("cluster:never", 60_000, ctx.signal);
        } finally {
          cleaned = true;
        }
      },
    },
  });
  for await (const _ of client.iterate({ query: LOGS, variables: { id: CLUSTER_ID } })) break;
  await vi.waitFor(() => expect(cleaned).toBe(true));
});

test("what has effects is not begun by GET", async () => {
  const { url } = await start({ verbs: {} });
  const get = async (query: string) => (await fetch(`${url}?query=${encodeURIComponent(query)}`)).text();
  const exec = `subscription { clusterExec(id: "${CLUSTER_ID}", input: { command: "ls" }) { data } }`;
  expect(await get(exec)).toContain('"code":"method_not_allowed"');
  expect(await get("mutation { teardownCluster(id: 1) { id } }")).toContain('"code":"graphql_invalid"');
  expect(await get("{ __typename }")).toContain('{"data":{"__typename":"Query"}}');
});

test("/graphql streams too when event streams are asked for", async () => {
  const { app } = fakeApp();
  const response = await app.request("/graphql", {
    method: "POST",
    headers: { "content-type": "application/json", accept: "text/event-stream" },
    body: JSON.stringify({ query: "{ __typename }" }),
  });
  expect(response.headers.get("content-type")).toContain("text/event-stream");
  expect(await response.text()).toBe(
    ': open\n\nevent: next\ndata: {"data":{"__typename":"Query"}}\n\nevent: complete\ndata: \n\n',
  );
});

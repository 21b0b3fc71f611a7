import { createHash } from "node:crypto";
import { type ClusterNode, ERRORS, OPERATIONS, VolleyError } from "@volley/schema";
import type { Operation } from "@volley/schema/operation";
import { expect, test } from "vitest";
import { graphqlSchema } from "../../api/faces/graphql/schema.ts";
import { CLUSTER_ID, type FakeApp, fakeApp, NODE_ID, sampleQuote } from "./fake-app.ts";

interface Result {
  readonly data?: Record<string, unknown> | null;
  readonly errors?: readonly { message: string; path?: unknown; extensions: Record<string, unknown> }[];
}

async function ask(
  { app }: FakeApp,
  query: string,
  variables: object = {},
  headers: Record<string, string> = {},
): Promise<{ response: Response } & Result> {
  const response = await app.request("/graphql", {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ query, variables }),
  });
  const text = await response.clone().text();
  return { response, ...(JSON.parse(text) as Result) };
}

const CREATE_QUOTE =
  "mutation($input: CreateQuoteInput!) { createQuote(input: $input) { gpusPerNode total { amount } } }";

test("a mutation calls the verb with the contract's names and defaults", async () => {
  const inputs: unknown[] = [];
  const fake = fakeApp({
    verbs: {
      "quotes.create": async (_, input) => {
        inputs.push(input);
        return sampleQuote();
      },
    },
  });
  const { data, response } = await ask(fake, CREATE_QUOTE, {
    input: { gpu: "h100", gpusPerNode: 8, durationSeconds: 60, maxRttMs: null },
  });
  expect(data).toEqual({ createQuote: { gpusPerNode: 8, total: { amount: "83.664000" } } });
  expect(inputs).toEqual([{ gpu: "h100", gpus_per_node: 8, nodes: 1, duration_seconds: 60, prefer: "price" }]);
  expect(response.headers.get("content-type")).toContain("application/graphql-response+json");
  expect(response.headers.get("ratelimit-policy")).toBe('"graphql";q=6000;w=60, "quote";q=6000;w=60');
});

test("maps with keys of the caller pass untouched, nested inputs are mapped", async () => {
  const inputs: unknown[] = [];
  const fake = fakeApp({
    verbs: {
      "clusters.reserve": async (ctx, input) => {
        inputs.push(input, ctx.idempotencyKey);
        throw new VolleyError("quote_used", "Used.");
      },
    },
  });
  const { errors, data } = await ask(
    fake,
    "mutation($input: ReserveClusterInput!) { reserveCluster(input: $input) { id } }",
    {
      input: {
        quoteToken: "t",
        metadata: { someKey: "a", some_key: "b" },
        env: { MY_Var: "1" },
        payment: { rail: "solana_pay" },
        name: null,
      },
    },
    { "idempotency-key": '"key-1"' },
  );
  expect(inputs).toEqual([
    {
      quote_token: "t",
      metadata: { someKey: "a", some_key: "b" },
      env: { MY_Var: "1" },
      payment: { rail: "solana_pay" },
    },
    "key-1",
  ]);
  expect(data).toEqual({ reserveCluster: null });
  expect(errors?.[0]?.extensions).toMatchObject({
    code: "quote_used",
    status: 409,
    title: ERRORS.quote_used.title,
    retryable: false,
    requestId: expect.stringMatching(/^req_/),
    type: expect.stringContaining("quote_used"),
  });
});

test("root fields, one per operation of the registry", () => {
  const roots = {
    query: graphqlSchema.getQueryType(),
    mutation: graphqlSchema.getMutationType(),
    subscription: graphqlSchema.getSubscriptionType(),
  };
  const fields = Object.entries(roots).flatMap(([kind, type]) =>
    Object.keys(type?.getFields() ?? {}).map((field) => `${kind} ${field}`),
  );
  const declared = Object.values<Operation>(OPERATIONS).map(({ graphql }) => `${graphql.kind} ${graphql.field}`);
  expect(fields.sort()).toEqual(declared.sort());
});

test("lists are connections with the cursors of REST", async () => {
  const inputs: unknown[] = [];
  const gpu = (slug: string) => ({
    object: "gpu" as const,
    gpu: slug,
    name: slug,
    vendor: "nvidia" as const,
    architecture: "hopper",
    vram_gib: 80,
    gpus_total: 8,
    gpus_available: 4,
    nodes_available: 1,
    price_per_gpu_hour_min: null,
    price_per_gpu_hour_max: null,
  });
  const fake = fakeApp({
    verbs: {
      "gpus.list": async (_, input) => {
        inputs.push(input);
        return { data: [gpu("a"), gpu("b")], next_cursor: "last" };
      },
    },
  });
  const { data } = await ask(
    fake,
    '{ gpus(first: 2, after: "abc") { edges { cursor node { gpu vramGib } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }',
  );
  expect(inputs).toEqual([{ limit: 2, cursor: "abc" }]);
  const cursors = ["WyJhIiwiYSJd", "WyJiIiwiYiJd"];
  expect(data).toEqual({
    gpus: {
      edges: [
        { cursor: cursors[0], node: { gpu: "a", vramGib: 80 } },
        { cursor: cursors[1], node: { gpu: "b", vramGib: 80 } },
      ],
      pageInfo: { hasNextPage: true, hasPreviousPage: true, startCursor: cursors[0], endCursor: cursors[1] },
    },
  });
  const tooMany = await ask(fake, "{ gpus(first: 101) { edges { cursor } } }");
  expect(tooMany.errors?.[0]?.extensions).toMatchObject({ code: "invalid_field", errors: [{ pointer: "/limit" }] });
});

const ranks: ClusterNode[] = [0, 1, 2].map((rank) => ({
  rank,
  node_id: (rank === 2 ? NODE_ID.replace("zzzz", "zzzy") : NODE_ID) as never,
  status: "ready",
  hostname: `rank-${rank}`,
  gpu: "cpu",
  gpus: 1,
  country: "DE",
  region: "eu",
  ready_at: null,
  exit_code: null,
  reason: null,
}));

test("relations are fetched together, each object once", async () => {
  const asked: string[][] = [];
  const fake = fakeApp({
    verbs: { "clusters.get": async () => ({ id: CLUSTER_ID, nodes: ranks }) as never },
    loaders: {
      nodes: async (_, ids) => {
        asked.push([...ids]);
        return new Map(ids.map((id) => [id, { id, gpu: "cpu", supplier_id: "sup_1" } as never]));
      },
      suppliers: async (_, ids) => {
        asked.push([...ids]);
        return new Map(ids.map((id) => [id, { id, name: "Ada" } as never]));
      },
    },
  });
  const { data, errors } = await ask(
    fake,
    `query($id: ID!) { cluster(id: $id) { nodes { rank node { id supplier { name } } supplier { name } } } }`,
    { id: CLUSTER_ID },
  );
  expect(errors).toBeUndefined();
  expect(asked).toEqual([[NODE_ID, NODE_ID.replace("zzzz", "zzzy")], ["sup_1"]]);
  expect(data).toMatchObject({
    cluster: {
      nodes: ranks.map(({ rank, node_id: id }) => ({
        rank,
        node: { id, supplier: { name: "Ada" } },
        supplier: { name: "Ada" },
      })),
    },
  });
});

test("an unexpected error loses its message, and is logged", async () => {
  const fake = fakeApp({
    verbs: {
      "network.get": async () => {
        throw new Error("password hunter2 refused");
      },
    },
  });
  const { errors, response } = await ask(fake, "{ network { nodes } }");
  expect(JSON.stringify(errors)).not.toContain("hunter2");
  expect(errors?.[0]?.extensions).toMatchObject({ code: "internal", status: 500, retryable: true });
  expect(fake.log.some((line) => line.request_id === response.headers.get("x-request-id"))).toBe(true);
});

test("an answer that doesn't fit the schema is an internal error too", async () => {
  const fake = fakeApp({ verbs: { "network.get": async () => ({ nodes: "many hunter2" }) as never } });
  const { errors } = await ask(fake, "{ network { nodes } }");
  expect(errors?.[0]).toMatchObject({ path: ["network", "nodes"], extensions: { code: "internal" } });
  expect(JSON.stringify(errors)).not.toContain("hunter2");
});

test.each([
  ["an unknown field", { gpu: "h100", durationSeconds: 60, node: 1 }, "unknown_field", "/node"],
  ["a wrong type", { gpu: "h100", durationSeconds: 60, nodes: "two" }, "invalid_field", "/nodes"],
  ["a wrong item", { gpu: "h100", durationSeconds: 60, countries: ["DE", 7] }, "invalid_field", "/countries/1"],
  ["a missing field", { gpu: "h100" }, "invalid_field", "/durationSeconds"],
  ["a wrong choice", { gpu: "h100", durationSeconds: 60, prefer: "luck" }, "invalid_field", "/prefer"],
  [
    "what only the contract refuses",
    { gpu: "h100", durationSeconds: 60, countries: ["germany"] },
    "invalid_field",
    "/countries/0",
  ],
])("variables with %s are refused with the codes of REST", async (_, input, code, pointer) => {
  const { errors } = await ask(fakeApp(), CREATE_QUOTE, { input });
  expect(errors?.[0]?.extensions).toMatchObject({ code, errors: [{ pointer, code }] });
});

test("the status follows the media type that was asked for", async () => {
  const fake = fakeApp();
  const invalid = "{ nothing }";
  expect((await ask(fake, invalid)).response.status).toBe(400);
  expect((await ask(fake, invalid, {}, { accept: "application/graphql-response+json" })).response.status).toBe(400);
  const old = await ask(fake, invalid, {}, { accept: "application/json" });
  expect(old.response.status).toBe(200);
  expect(old.errors?.[0]?.extensions).toMatchObject({ code: "graphql_invalid" });
  expect((await ask(fake, "{ gpus", {})).errors?.[0]?.extensions).toMatchObject({ code: "graphql_invalid" });
  const neither = await ask(fake, "{ __typename }", {}, { accept: "text/plain" });
  expect(neither.response.status).toBe(406);
});

test("what is no GraphQL request is refused as a whole", async () => {
  const { app } = fakeApp();
  const post = (body: string, headers: Record<string, string> = { "content-type": "application/json" }) =>
    app.request("/graphql", { method: "POST", headers, body });
  expect((await post("{")).status).toBe(400);
  expect((await post("query { __typename }", { "content-type": "application/graphql" })).status).toBe(415);
  expect((await post(JSON.stringify([{ query: "{ __typename }" }]))).status).toBe(400);
  expect((await post(JSON.stringify({ query: 7 }))).status).toBe(400);
  const get = (search: string, headers: Record<string, string> = {}) => app.request(`/graphql?${search}`, { headers });
  expect((await get("query=%7B__typename%7D")).status).toBe(400);
  const preflighted = { "apollo-require-preflight": "1" };
  expect(await (await get("query=%7B__typename%7D", preflighted)).json()).toEqual({ data: { __typename: "Query" } });
  const mutation = await get(`query=${encodeURIComponent("mutation { teardownCluster(id: 1) { id } }")}`, preflighted);
  expect(mutation.status).toBe(405);
  expect((await app.request("/graphql", { method: "DELETE" })).status).toBe(405);
});

const hostile: [string, string][] = [
  ["1,000 aliases", `{ ${Array.from({ length: 1000 }, (_, i) => `a${i}: network { nodes }`).join(" ")} }`],
  ["31 aliases", `{ ${Array.from({ length: 31 }, (_, i) => `a${i}: __typename`).join(" ")} }`],
  ["deep nesting", `{ cluster(id: 1) { ${"payment { cluster { ".repeat(40)} id ${"} }".repeat(40)} } }`],
  [
    "depth through fragments",
    `{ payment(id: 1) { ...f0 } } ${Array.from({ length: 20 }, (_, i) => `fragment f${i} on Payment { cluster { payment { ${i < 19 ? `...f${i + 1}` : "id"} } } }`).join(" ")}`,
  ],
  [
    "fragments that double",
    `{ gpus { edges { node { ...f0 } } } } ${Array.from({ length: 40 }, (_, i) => `fragment f${i} on Gpu { ${i < 39 ? `...f${i + 1} ...f${i + 1}` : "gpu"} }`).join(" ")}`,
  ],
  ["a fragment within itself", "{ network { ...f } } fragment f on Network { nodes ...f }"],
  [
    "pages within pages",
    "{ clusters(first: 100) { edges { node { events(first: 100) { edges { node { id type data } } } } } } }",
  ],
  ["many directives", `{ network { nodes ${"@include(if: true)".repeat(40)} } }`],
  ["many tokens", `{ network { ${"nodes ".repeat(5000)} } }`],
  ["deep introspection", `{ __schema { types { ${"fields { type { ".repeat(20)} name ${"} }".repeat(20)} } } }`],
  [
    "a deep literal",
    `mutation { reserveCluster(input: { quoteToken: "x", metadata: ${"{ a: ".repeat(1000)}1${"}".repeat(1000)} }) { id } }`,
  ],
];

test.each(hostile)("refused before anything runs: %s", async (what, query) => {
  const { errors, data, response } = await ask(fakeApp(), query);
  expect(data ?? null).toBeNull();
  expect(response.status).toBe(400);
  const code = /within itself|introspection|exist/.test(what) ? "graphql_invalid" : "query_too_complex";
  expect(errors?.[0]?.extensions.code).toBe(code);
  expect(errors?.length).toBeLessThanOrEqual(11);
});

test("page sizes in variables count, each time anew", async () => {
  const fake = fakeApp({ verbs: { "offers.list": async () => ({ data: [], next_cursor: null }) } });
  const pages = Array.from(
    { length: 15 },
    (_, i) =>
      `p${i}: offers(first: $n) { edges { node { nodeId gpu country region reliability pricePerGpuHour { amount } } } }`,
  );
  const query = `query($n: Int) { ${pages.join(" ")} }`;
  expect((await ask(fake, query, { n: 100 })).errors?.[0]?.extensions.code).toBe("query_too_complex");
  expect((await ask(fake, query, { n: 10 })).errors).toBeUndefined();
  expect((await ask(fake, query, { n: 100 })).errors?.[0]?.extensions.code).toBe("query_too_complex");
  expect((await ask(fake, query, { n: "ten" })).errors?.[0]?.extensions.code).toBe("invalid_field");
});

test("introspection is a choice", async () => {
  const query = "{ __schema { queryType { name } } }";
  expect((await ask(fakeApp(), query)).data).toEqual({ __schema: { queryType: { name: "Query" } } });
  expect((await ask(fakeApp({ introspection: false }), query)).response.status).toBe(400);
});

test("a root field counts as one request of its class", async () => {
  const fake = fakeApp({
    environment: { VOLLEY_RATE_LIMIT_PER_MINUTE: "3" },
    verbs: { "quotes.create": async () => sampleQuote() },
  });
  const one = `createQuote(input: { gpu: "h100", durationSeconds: 60 }) { id }`;
  const { data, errors } = await ask(fake, `mutation { a: ${one} b: ${one} c: ${one} d: ${one} }`);
  expect(Object.values(data ?? {}).filter((quote) => quote !== null)).toHaveLength(3);
  expect(errors?.[0]).toMatchObject({ path: ["d"], extensions: { code: "rate_limited" } });
});

test("who looks with a browser gets a page to try queries on, which runs no other script than its own", async () => {
  const visit = (fake: FakeApp) => fake.app.request("/graphql", { headers: { accept: "text/html,*/*;q=0.8" } });
  const page = await visit(fakeApp());
  expect(page.headers.get("content-type")).toContain("text/html");
  const html = await page.text();
  const script = /<script>(.*)<\/script>/s.exec(html)?.[1] ?? "";
  const hash = createHash("sha256").update(script).digest("base64");
  expect(page.headers.get("content-security-policy")).toContain(`script-src 'sha256-${hash}'`);
  expect(html).not.toMatch(/https?:\/\//);
  expect((await visit(fakeApp({ introspection: false }))).status).toBe(400);
});

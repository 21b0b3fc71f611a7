import { VolleyError } from "@volley/schema";
import { parse } from "graphql";
import { expect, test } from "vitest";
import { prepare } from "../../api/faces/graphql/prepare.ts";
import { graphqlSchema } from "../../api/faces/graphql/schema.ts";
import { CLUSTER_ID, fakeApp, sampleQuote } from "./fake-app.ts";

const gpu = {
  object: "gpu" as const,
  gpu: "h100",
  name: "H100",
  vendor: "nvidia" as const,
  architecture: "hopper",
  vram_gib: 80,
  gpus_total: 8,
  gpus_available: 4,
  nodes_available: 1,
  price_per_gpu_hour_min: null,
  price_per_gpu_hour_max: { amount: "1.000000", currency: "USDC" as const },
};

const input = '{ gpu: "h100", durationSeconds: 60 }';
const plain: [string, string, object?][] = [
  [
    "a mutation with a variable",
    "mutation Q($i: CreateQuoteInput!) { createQuote(input: $i) { id plan { rank country } total { amount } } }",
    { i: { gpu: "h100", durationSeconds: 60 } },
  ],
  [
    "a literal argument",
    `mutation { createQuote(input: ${input}) { lines { kind amount { amount currency } } alternatives { gpu } } }`,
  ],
  [
    "aliases",
    `mutation { one: createQuote(input: ${input}) { a: gpu b: gpu } two: createQuote(input: ${input}) { gpu } }`,
  ],
  [
    "fragments",
    `mutation { createQuote(input: ${input}) { ...A ... on Quote { gpu } ... { nodes } } } fragment A on Quote { id total { ...M } } fragment M on Money { amount }`,
  ],
  [
    "one field from two places",
    `mutation { createQuote(input: ${input}) { total { amount } total { currency } ...A } } fragment A on Quote { total { amount } }`,
  ],
  [
    "type names",
    `mutation { createQuote(input: ${input}) { __typename total { __typename } plan { type: __typename } } }`,
  ],
  [
    "a connection",
    "query($n: Int) { gpus(first: $n) { edges { cursor node { gpu vendor priceMin: pricePerGpuHourMin { amount } pricePerGpuHourMax { amount } } } pageInfo { hasNextPage endCursor } } }",
    { n: 5 },
  ],
  ["an error next to data", `{ gpus { edges { node { gpu } } } cluster(id: "${CLUSTER_ID}") { id } }`],
  ["a null that must not be", "{ network { nodes countries { key } } }"],
  ["a value that doesn't fit", "{ network { gpus } }"],
];

function fake() {
  return fakeApp({
    verbs: {
      "quotes.create": async () => sampleQuote(2),
      "gpus.list": async () => ({ data: [gpu], next_cursor: null }),
      "clusters.get": async () => {
        throw new VolleyError("not_found", "No such cluster.", { nextAction: "Check the id." });
      },
      "network.get": async () => ({ nodes: 1, gpus: "many", countries: [{ key: null }] }) as never,
    },
  });
}

async function askTwice(query: string, variables: object, headers: Record<string, string> = {}) {
  const { app } = fake();
  const ask = async () => {
    const response = await app.request("/graphql", {
      method: "POST",
      headers: { "content-type": "application/json", "x-request-id": "same-request", ...headers },
      body: JSON.stringify({ query, variables }),
    });
    const { errors, data } = JSON.parse(await response.text());
    return { status: response.status, type: response.headers.get("content-type"), errors, data };
  };
  return [await ask(), await ask()] as const;
}

test.each(plain)("prepared, the answer is the same: %s", async (_, query, variables = {}) => {
  expect(prepare(graphqlSchema, parse(query), undefined)).not.toBeNull();
  const [ordinary, prepared] = await askTwice(query, variables);
  expect(prepared.status).toBe(ordinary.status);
  expect(prepared.type).toBe(ordinary.type);
  if (ordinary.errors === undefined) expect(prepared).toEqual(ordinary);
  else {
    const codes = (errors: { extensions: { code: string } }[]) => errors.map((error) => error.extensions.code);
    expect(codes(prepared.errors)).toEqual(codes(ordinary.errors));
  }
});

test("an error of an operation is the same to its last member", async () => {
  const [ordinary, prepared] = await askTwice(`query($id: ID!) { cluster(id: $id) { id } }`, { id: CLUSTER_ID });
  expect(ordinary.errors[0].extensions).toMatchObject({ code: "not_found", nextAction: "Check the id." });
  expect(prepared).toEqual(ordinary);
});

test("the media type that was asked for is the same", async () => {
  const query = "{ gpus { edges { node { gpu } } } }";
  for (const accept of ["application/json", "application/graphql-response+json", "text/html, application/json;q=0.9"]) {
    const [ordinary, prepared] = await askTwice(query, {}, { accept });
    expect(prepared).toEqual(ordinary);
  }
});

test("variables that don't fit, and pages that are too large, are refused all the same", async () => {
  const { app } = fake();
  const codeOf = async (query: string, variables: object) => {
    const body = JSON.stringify({ query, variables });
    const response = await app.request("/graphql", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body,
    });
    const { errors } = JSON.parse(await response.text());
    return [response.status, errors?.[0].extensions.code];
  };
  const fields = "{ edges { node { gpu name vendor vramGib gpusTotal gpusAvailable nodesAvailable architecture } } }";
  const query = `query($n: Int) { ${Array.from({ length: 12 }, (_, i) => `g${i}: gpus(first: $n) ${fields}`).join(" ")} }`;
  expect(await codeOf(query, { n: 1 })).toEqual([200, undefined]);
  expect(await codeOf(query, { n: 1 })).toEqual([200, undefined]);
  expect(await codeOf(query, { n: 100 })).toEqual([400, "query_too_complex"]);
  expect(await codeOf(query, { n: "x" })).toEqual([400, "invalid_field"]);
  expect(await codeOf(query, { n: 101 })).toEqual([400, "query_too_complex"]);
});

test.each([
  ["relations", `{ cluster(id: 1) { quote { id } } }`],
  ["directives", `query($x: Boolean!) { network { nodes @include(if: $x) } }`],
  ["introspection", "{ __schema { queryType { name } } }"],
  ["subscriptions", `subscription { clusterLogs(id: 1) { data } }`],
])("%s are left to the general executor", (_, query) => {
  expect(prepare(graphqlSchema, parse(query), undefined)).toBeNull();
});

/** What only the graph has: the ways from one object to others, in a number of statements that stays the same. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestApp, type TestApp } from "../harness/app.ts";
import { until } from "../harness/services.ts";
import { restFace } from "./faces.ts";
import { type Held, reserve } from "./rentals.ts";

const QUERY = `query($id: ID!, $first: Int, $after: String) {
  cluster(id: $id) {
    quoteId
    quote { id token total { amount } }
    payment { cluster { id } }
    payments { id cluster { id status } }
    events(first: $first, after: $after) { edges { cursor node { id type } } pageInfo { hasNextPage endCursor } }
    nodes { rank nodeId node { id supplier { id name } } supplier { name } }
  }
}`;

interface ClusterAnswer {
  readonly quoteId: string;
  readonly quote: { id: string; token: string };
  readonly payment: { cluster: { id: string } };
  readonly payments: { id: string; cluster: { id: string; status: string } }[];
  readonly events: {
    edges: { cursor: string; node: { id: string; type: string } }[];
    pageInfo: { hasNextPage: boolean; endCursor: string };
  };
  readonly nodes: {
    rank: number;
    nodeId: string;
    node: { id: string; supplier: { name: string } };
    supplier: { name: string };
  }[];
}

let app: TestApp;
let small: Held;
let large: Held;
let statements = 0;

async function ask({ cluster, secret }: Held, variables: object = {}): Promise<ClusterAnswer> {
  const response = await fetch(`${app.url}/graphql`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${secret}` },
    body: JSON.stringify({ query: QUERY, variables: { id: cluster.id, ...variables } }),
  });
  const { data, errors } = (await response.json()) as { data: { cluster: ClusterAnswer }; errors?: unknown };
  expect(errors).toBeUndefined();
  return data.cluster;
}

beforeAll(async () => {
  app = await createTestApp();
  const face = restFace(app.url);
  await app.join(16);
  await app.join(16);
  await until("both machines are on offer", async () => {
    const { output } = await face.call("offers.list", {});
    return (output as { data: unknown[] }).data.length === 2;
  });
  small = await reserve(face, {}, { nodes: 1 });
  await until("the market has seen the first reservation", async () => {
    const { output } = await face.call("network.get", {});
    return (output as { gpus_available: number }).gpus_available === 31;
  });
  large = await reserve(face, {}, { nodes: 20 });
}, 120_000);
afterAll(() => app?.close(), 60_000);

test("from a cluster to its quote, payments, events, machines and their suppliers, and back", async () => {
  const { cluster } = large;
  const answer = await ask(large);
  expect(answer.quote.id).toBe(answer.quoteId);
  expect(answer.payment.cluster).toEqual({ id: cluster.id });
  expect(answer.payments).toEqual([
    { id: cluster.payment.id, cluster: { id: cluster.id, status: "awaiting_payment" } },
  ]);
  expect(answer.events.edges[0]?.node.type).toBe("cluster.reserved");
  expect(answer.nodes).toHaveLength(20);
  expect(new Set(answer.nodes.map((node) => node.nodeId)).size).toBe(2);
  for (const { nodeId, node, supplier } of answer.nodes) {
    expect(node.id).toBe(nodeId);
    expect(node.supplier.name).toBe("test");
    expect(supplier).toEqual({ name: "test" });
  }
});

test("a quote that anybody with the cluster's secret can see is no token that reserves again", async () => {
  const { quote } = await ask(small);
  const response = await fetch(`${app.url}/v1/quotes/${encodeURIComponent(quote.token)}`);
  expect(await response.json()).not.toMatchObject({ holds: true });
});

test("events come in pages whose cursors lead on", async () => {
  const seen: string[] = [];
  let after: string | undefined;
  do {
    const { events } = await ask(small, { first: 1, after });
    expect(events.edges.length).toBeLessThanOrEqual(1);
    seen.push(...events.edges.map((edge) => edge.node.id));
    after = events.pageInfo.hasNextPage ? events.pageInfo.endCursor : undefined;
  } while (after !== undefined && seen.length < 100);
  const { events } = await ask(small, { first: 100 });
  expect(seen).toEqual(events.edges.map((edge) => edge.node.id));
});

test("twenty ranks take as many statements as one", async () => {
  const client = app.database.db.$client;
  const { unsafe } = client;
  client.unsafe = ((...args: Parameters<typeof unsafe>) => {
    if (/"(clusters|payments|leases|nodes|suppliers|events)"/.test(args[0])) statements++;
    return unsafe(...args);
  }) as typeof unsafe;
  const count = async (held: Held) => {
    // The server's own loop asks too, so the least of several is what the query needs.
    const counts: number[] = [];
    for (let round = 0; round < 8; round++) {
      statements = 0;
      await ask(held);
      counts.push(statements);
    }
    return Math.min(...counts);
  };
  try {
    const one = await count(small);
    expect(one).toBeGreaterThan(3);
    expect(await count(large)).toBe(one);
  } finally {
    client.unsafe = unsafe;
  }
});

import { assert, double, property } from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Volley } from "../../sdk/index.ts";
import { backoffMs, serverDelayMs } from "../../sdk/retry.ts";
import { BASE_URL, cluster, connectionFailure, fakeApi, json, problem } from "./fake-api.ts";

const wish = { gpu: "h100-sxm", duration: "1h" };

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] });
  vi.setTimerTickMode("nextTimerAsync");
});
afterEach(() => {
  vi.useRealTimers();
});

describe("a call is repeated", () => {
  test.each([408, 429, 500, 502, 503])("after %i", async (status) => {
    const api = fakeApi(problem(status, "unavailable"), json({ id: "qt_1" }));
    const quote = await new Volley({ baseUrl: BASE_URL, fetch: api.fetch }).quotes.create(wish);
    expect(quote.id).toBe("qt_1");
    expect(api.seen).toHaveLength(2);
  });

  test("after a connection that could not be made", async () => {
    const api = fakeApi(connectionFailure(), connectionFailure(), json({ id: "qt_1" }));
    await new Volley({ baseUrl: BASE_URL, fetch: api.fetch }).quotes.create(wish);
    expect(api.seen).toHaveLength(3);
  });

  test("while the same request is still running", async () => {
    const api = fakeApi(problem(409, "idempotency_in_progress"), json({ id: "rfd_1" }));
    await new Volley({ baseUrl: BASE_URL, fetch: api.fetch }).refunds.create({ clusterId: "cl_1", to: "x" });
    expect(api.seen).toHaveLength(2);
  });

  test("when the server says so, whatever the status", async () => {
    const api = fakeApi(problem(409, "capacity_gone", { headers: { "x-should-retry": "true" } }), json({ id: "qt_1" }));
    await new Volley({ baseUrl: BASE_URL, fetch: api.fetch }).quotes.create(wish);
    expect(api.seen).toHaveLength(2);
  });

  test("with the same key and the same bytes each time", async () => {
    const api = fakeApi(connectionFailure(), problem(503, "unavailable"), json({ id: "rfd_1" }));
    await new Volley({ baseUrl: BASE_URL, fetch: api.fetch }).refunds.create({ clusterId: "cl_1", to: "x" });
    const keys = api.seen.map((request) => request.headers.get("idempotency-key"));
    expect(keys[0]).toMatch(/^[0-9a-f]{32}$/);
    expect(new Set(keys).size).toBe(1);
    expect(new Set(api.seen.map((request) => request.bodyText)).size).toBe(1);
  });

  test("with a fresh proof each time, over path, query and body", async () => {
    const api = fakeApi(connectionFailure(), json({ object: "assignments" }), json({ object: "node_report" }));
    let counter = 0;
    const proofs: string[] = [];
    const volley = new Volley({
      baseUrl: BASE_URL,
      fetch: api.fetch,
      authorize: async ({ method, path, body }) => {
        proofs.push(`${method} ${path} ${new TextDecoder().decode(body)}`);
        return { "volley-node-signature": String(++counter) };
      },
    });
    await volley.nodes.assignments("nd_1", { after: "r 1", wait: "20s" });
    await volley.nodes.report("nd_1", { leases: [{ leaseId: "ls_1", state: "ready" }] });
    expect(api.seen.map((request) => request.headers.get("volley-node-signature"))).toEqual(["1", "2", "3"]);
    expect(proofs).toEqual([
      "GET /v1/nodes/nd_1/assignments?after=r+1&wait_seconds=20 ",
      "GET /v1/nodes/nd_1/assignments?after=r+1&wait_seconds=20 ",
      'POST /v1/nodes/nd_1/reports {"leases":[{"lease_id":"ls_1","state":"ready"}]}',
    ]);
    expect(api.seen[2]?.bodyText).toBe('{"leases":[{"lease_id":"ls_1","state":"ready"}]}');
  });
});

describe("a call is not repeated", () => {
  test.each([400, 401, 404, 410, 422])("after %i", async (status) => {
    const api = fakeApi(problem(status, "some_code"));
    await expect(new Volley({ baseUrl: BASE_URL, fetch: api.fetch }).quotes.create(wish)).rejects.toThrow("Detail.");
    expect(api.seen).toHaveLength(1);
  });

  test("after another conflict", async () => {
    const api = fakeApi(problem(409, "capacity_gone"));
    await expect(new Volley({ baseUrl: BASE_URL, fetch: api.fetch }).quotes.create(wish)).rejects.toThrow();
    expect(api.seen).toHaveLength(1);
  });

  test("when the server forbids it", async () => {
    const api = fakeApi(problem(503, "unavailable", { headers: { "x-should-retry": "false" } }));
    await expect(new Volley({ baseUrl: BASE_URL, fetch: api.fetch }).quotes.create(wish)).rejects.toThrow();
    expect(api.seen).toHaveLength(1);
  });

  test("when the server asks for more than a minute", async () => {
    const api = fakeApi(problem(429, "rate_limited", { headers: { "retry-after": "61" } }));
    await expect(new Volley({ baseUrl: BASE_URL, fetch: api.fetch }).quotes.create(wish)).rejects.toThrow();
    expect(api.seen).toHaveLength(1);
  });

  test("more often than asked", async () => {
    const volley = (api: { fetch: typeof fetch }) => new Volley({ baseUrl: BASE_URL, fetch: api.fetch, maxRetries: 1 });
    const failing = fakeApi(connectionFailure(), connectionFailure());
    await expect(volley(failing).quotes.create(wish)).rejects.toThrow("connection");
    expect(failing.seen).toHaveLength(2);
    const once = fakeApi(connectionFailure());
    await expect(volley(once).quotes.create(wish, { maxRetries: 0 })).rejects.toThrow("connection");
    expect(once.seen).toHaveLength(1);
  });
});

test("the wait that the server asks for is kept", async () => {
  const moments: number[] = [];
  const note = (answer: () => Response | Promise<Response>) => () => {
    moments.push(Date.now());
    return answer();
  };
  const busy = () => new Response("{}", { status: 429, headers: { "retry-after": "7" } });
  const api = fakeApi(
    note(busy),
    note(() => Response.json({ id: "qt_1" })),
  );
  await new Volley({ baseUrl: BASE_URL, fetch: api.fetch }).quotes.create(wish);
  expect((moments[1] ?? 0) - (moments[0] ?? 0)).toBe(7000);
});

test("a date in Retry-After is a wait until then", () => {
  const nowMs = Date.parse("2026-01-01T00:00:00Z");
  const headers = (value: string) => new Headers({ "retry-after": value });
  expect(serverDelayMs(headers("Thu, 01 Jan 2026 00:00:05 GMT"), nowMs)).toBe(5000);
  expect(serverDelayMs(headers("Wed, 31 Dec 2025 00:00:00 GMT"), nowMs)).toBe(0);
  expect(serverDelayMs(headers("soon"), nowMs)).toBeNull();
  expect(serverDelayMs(new Headers(), nowMs)).toBeNull();
});

test("without such a wish the wait doubles up to eight seconds, less up to a quarter", () => {
  assert(
    property(double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (random) => {
      for (let attempt = 0; attempt < 12; attempt++) {
        const full = Math.min(8000, 500 * 2 ** attempt);
        const delayMs = backoffMs(attempt, () => random);
        expect(delayMs).toBeGreaterThan(full * 0.75 - 1e-6);
        expect(delayMs).toBeLessThanOrEqual(full);
      }
    }),
  );
});

describe("the Idempotency-Key", () => {
  test("differs from call to call, is absent on reading, and can be given", async () => {
    const api = fakeApi(json(cluster()), json(cluster()), json(cluster()), json(cluster()));
    const { clusters } = new Volley({ baseUrl: BASE_URL, fetch: api.fetch });
    await clusters.teardown("cl_1");
    await clusters.teardown("cl_1");
    await clusters.get("cl_1");
    await clusters.teardown("cl_1", { idempotencyKey: "mine" });
    const keys = api.seen.map((request) => request.headers.get("idempotency-key"));
    expect(keys[0]).not.toBe(keys[1]);
    expect(keys.slice(2)).toEqual([null, "mine"]);
  });
});

import { createHash } from "node:crypto";
import { ERRORS, type Problem, VolleyError } from "@volley/schema";
import { expect, test } from "vitest";
import { CLUSTER_ID, fakeApp, sampleQuote } from "./fake-app.ts";

const WISH = { gpu: "h100", duration_seconds: 3600 };
const json = (body: unknown, headers: Record<string, string> = {}) => ({
  method: "POST",
  headers: { "content-type": "application/json", ...headers },
  body: JSON.stringify(body),
});

async function problemOf(response: Response): Promise<Problem> {
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  const problem = (await response.json()) as Problem;
  expect(problem.status).toBe(response.status);
  expect(problem.request_id).toBe(response.headers.get("x-request-id"));
  expect(problem.title).toBe(ERRORS[problem.code as keyof typeof ERRORS].title);
  return problem;
}

test("a verb gets the parsed input with its defaults, and its answer goes out as it is", async () => {
  const seen: unknown[] = [];
  const quote = sampleQuote();
  const { app } = fakeApp({
    verbs: {
      "quotes.create": async (ctx, input) => {
        seen.push(input, ctx.actor, ctx.requestId);
        return quote;
      },
    },
  });
  const response = await app.request("/v1/quotes", json(WISH, { "x-request-id": "caller-0001" }));
  expect(response.status).toBe(201);
  expect(await response.json()).toEqual(quote);
  expect(seen).toEqual([
    { gpu: "h100", gpus_per_node: 1, nodes: 1, duration_seconds: 3600, prefer: "price" },
    { kind: "anonymous" },
    "caller-0001",
  ]);
  expect(response.headers.get("x-request-id")).toBe("caller-0001");
  expect(response.headers.get("volley-version")).toMatch(/^\d{4}-\d{2}-\d{2}$/);
  expect(response.headers.get("access-control-allow-origin")).toBe("*");
  expect(response.headers.get("x-content-type-options")).toBe("nosniff");
});

test("a request id that could forge a log line or a header is replaced", async () => {
  const { app } = fakeApp();
  for (const id of ["short", "a b c d e f g h", `${"x".repeat(200)}`, "-starts-with-dash"]) {
    const response = await app.request("/healthz", { headers: { "x-request-id": id } });
    expect(response.headers.get("x-request-id")).toMatch(/^req_/);
  }
});

test.each([
  ["no JSON", { body: "{gpu: 1}" }, "malformed_body", undefined],
  ["no UTF-8", { body: new Uint8Array([0x22, 0xff, 0x22]) }, "malformed_body", undefined],
  ["a list", { body: "[]" }, "invalid_field", ""],
  ["null", { body: "null" }, "invalid_field", ""],
  ["no content type", { body: JSON.stringify(WISH), headers: {} }, "unsupported_media_type", undefined],
  [
    "a form",
    { body: "gpu=h100", headers: { "content-type": "application/x-www-form-urlencoded" } },
    "unsupported_media_type",
    undefined,
  ],
  ["a missing field", { body: JSON.stringify({ gpu: "h100" }) }, "invalid_field", "/duration_seconds"],
  ["nothing at all", {}, "invalid_field", "/gpu"],
  ["a wrong type", { body: JSON.stringify({ ...WISH, nodes: "2" }) }, "invalid_field", "/nodes"],
  ["a fraction", { body: JSON.stringify({ ...WISH, nodes: 1.5 }) }, "invalid_field", "/nodes"],
  ["an unknown field", { body: JSON.stringify({ ...WISH, node: 2 }) }, "unknown_field", "/node"],
  [
    "the prototype",
    { body: `{"gpu":"h100","duration_seconds":3600,"__proto__":{"nodes":2}}` },
    "unknown_field",
    "/__proto__",
  ],
  ["a wrong choice", { body: JSON.stringify({ ...WISH, prefer: "luck" }) }, "invalid_field", "/prefer"],
  [
    "a wrong item",
    { body: JSON.stringify({ ...WISH, countries: ["DE", "germany"] }) },
    "invalid_field",
    "/countries/1",
  ],
  [
    "a float as money",
    { body: JSON.stringify({ ...WISH, max_price_per_gpu_hour: "1e3" }) },
    "invalid_field",
    "/max_price_per_gpu_hour",
  ],
])("a body with %s is refused with code and place", async (_, request, code, pointer) => {
  const { app } = fakeApp();
  const response = await app.request("/v1/quotes", {
    method: "POST",
    headers: { "content-type": "application/json" },
    ...request,
  });
  const problem = await problemOf(response);
  expect(problem.code).toBe(code);
  expect(problem.detail.length).toBeGreaterThan(10);
  expect(problem.next_action).toBeTruthy();
  expect(response.headers.get("x-should-retry")).toBe("false");
  if (pointer !== undefined) expect(problem.errors?.map((error) => error.pointer)).toContain(pointer);
});

test("the message names the field that was probably meant", async () => {
  const { app } = fakeApp();
  const problem = await problemOf(await app.request("/v1/quotes", json({ gpu: "h100", durationseconds: 1 })));
  expect(problem.errors).toContainEqual({
    pointer: "/durationseconds",
    code: "unknown_field",
    message: 'is not a field here; did you mean "duration_seconds"?',
  });
});

test("a union says all ways in which it can be right", async () => {
  const { app } = fakeApp();
  const response = await app.request(`/v1/clusters/${CLUSTER_ID}/exec`, json({ command: 7 }));
  const problem = await problemOf(response);
  expect(problem.errors?.[0]?.message).toBe("must be a string, not 7, or must be an array, not 7");
});

test("a body over the limit is refused, announced or not", async () => {
  const { app } = fakeApp({ environment: { VOLLEY_BODY_BYTES_MAX: "1024" } });
  const body = JSON.stringify({ ...WISH, gpu: "x".repeat(2000) });
  const announced = await app.request("/v1/quotes", {
    method: "POST",
    headers: { "content-type": "application/json", "content-length": String(body.length) },
    body,
  });
  expect((await problemOf(announced)).code).toBe("body_too_large");
  let sent = 0;
  const chunked = await app.request("/v1/quotes", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: new ReadableStream({
      pull(controller) {
        sent += 512;
        controller.enqueue(new Uint8Array(512));
        if (sent > 1_000_000) controller.close();
      },
    }),
    duplex: "half",
  } as RequestInit);
  expect((await problemOf(chunked)).code).toBe("body_too_large");
  expect(sent).toBeLessThan(10_000);
});

test("query parameters are read by the input's types; unknown and repeated ones are seen", async () => {
  const inputs: unknown[] = [];
  const { app } = fakeApp({
    verbs: {
      "offers.list": async (_, input) => {
        inputs.push(input);
        return { data: [], next_cursor: "abc" };
      },
    },
  });
  const response = await app.request("/v1/offers?gpu=h100&countries=DE,FR&limit=5&min_reliability=0.9");
  expect(inputs[0]).toMatchObject({ gpu: "h100", countries: ["DE", "FR"], limit: 5, min_reliability: 0.9, gpus: 1 });
  expect(response.headers.get("link")).toBe(
    '<http://127.0.0.1:8787/v1/offers?gpu=h100&countries=DE%2CFR&limit=5&min_reliability=0.9&cursor=abc>; rel="next"',
  );
  await app.request("/v1/offers?countries=DE&countries=FR");
  expect(inputs[1]).toMatchObject({ countries: ["DE", "FR"] });
  expect((await problemOf(await app.request("/v1/offers?colour=red"))).code).toBe("unknown_field");
  expect((await problemOf(await app.request("/v1/offers?__proto__=red"))).code).toBe("unknown_field");
  expect((await problemOf(await app.request("/v1/offers?limit=0"))).code).toBe("invalid_field");
  expect((await problemOf(await app.request(`/v1/offers?cursor=${"x".repeat(600)}`))).code).toBe("invalid_cursor");
});

test("a path parameter comes from the path alone", async () => {
  const { app } = fakeApp();
  const url = `/v1/clusters/${CLUSTER_ID}/extend`;
  const problem = await problemOf(await app.request(url, json({ id: CLUSTER_ID, duration_seconds: 60 })));
  expect(problem).toMatchObject({ code: "unknown_field", errors: [{ pointer: "/id" }] });
  const wrong = await problemOf(await app.request("/v1/clusters/nd_1"));
  expect(wrong).toMatchObject({ code: "invalid_field", errors: [{ pointer: "/id" }] });
  expect(wrong.detail).toContain('starts with "cl_"');
});

test("errors of a verb keep their code, members and waiting time", async () => {
  const { app } = fakeApp({
    verbs: {
      "quotes.create": async () => {
        throw new VolleyError("gang_unavailable", "Only one machine is free.", {
          extensions: { alternatives: [{ gpu: "a100" }] },
          retryAfterSeconds: 7,
        });
      },
    },
  });
  const response = await app.request("/v1/quotes", json(WISH));
  expect(response.status).toBe(409);
  expect(response.headers.get("retry-after")).toBe("7");
  expect(response.headers.get("x-should-retry")).toBe("true");
  expect(await problemOf(response)).toMatchObject({
    code: "gang_unavailable",
    retryable: true,
    alternatives: [{ gpu: "a100" }],
  });
});

test("an unexpected error is answered without detail and logged with the request's id", async () => {
  const { app, log } = fakeApp({
    verbs: {
      "network.get": async () => {
        throw new Error("connect ECONNREFUSED postgres://volley:hunter2@10.0.0.7/volley");
      },
    },
  });
  const response = await app.request("/v1/network");
  expect(response.status).toBe(500);
  const text = await response.clone().text();
  expect(text).not.toMatch(/ECONNREFUSED|hunter2|10\.0\.0\.7|stack/);
  const problem = await problemOf(response);
  expect(problem.code).toBe("internal");
  const line = log.find((entry) => entry.request_id === problem.request_id);
  expect(line).toMatchObject({ level: "error", operation: "network.get" });
  expect(JSON.stringify(line)).toContain("ECONNREFUSED");
  expect(JSON.stringify(line)).not.toContain("hunter2");
});

test("credentials: absent, malformed, well-formed", async () => {
  const actors: unknown[] = [];
  const { app } = fakeApp({
    verbs: {
      "payments.get": async (ctx) => {
        actors.push(ctx.actor);
        throw new VolleyError("not_found", "No such payment.");
      },
      "network.get": async (ctx) => {
        actors.push(ctx.actor);
        throw new VolleyError("unavailable", "Later.");
      },
    },
  });
  const url = "/v1/payments/pay_01jmq8rx1rf3d9w4k1q3k3zzzz";
  await app.request(url);
  await app.request(url, { headers: { authorization: "bearer abc" } });
  expect(actors).toEqual([
    { kind: "anonymous" },
    { kind: "bearer", tokenHash: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
  ]);
  for (const authorization of [
    "Bearer",
    "Bearer ",
    "Basic dXNlcjpwYXNz",
    "Bearer a b",
    "Bearer ä",
    `Bearer ${"x".repeat(600)}`,
    "abc",
  ]) {
    const response = await app.request(url, { headers: { authorization } });
    expect((await problemOf(response)).code).toBe("credential_invalid");
    expect(response.headers.get("www-authenticate")).toBe('Bearer realm="volley"');
  }
  expect(actors).toHaveLength(2);
  await app.request("/v1/network", { headers: { authorization: "Basic dXNlcjpwYXNz" } });
  expect(actors[2]).toEqual({ kind: "anonymous" });
});

test("an Idempotency-Key is the same bare and quoted, and reaches only operations that take one", async () => {
  const keys: (string | null)[] = [];
  const refuse = async (ctx: { idempotencyKey: string | null }) => {
    keys.push(ctx.idempotencyKey);
    throw new VolleyError("not_found", "None.");
  };
  const { app } = fakeApp({ verbs: { "clusters.teardown": refuse, "clusters.get": refuse } });
  const url = `/v1/clusters/${CLUSTER_ID}`;
  const send = (method: string, key: string) => app.request(url, { method, headers: { "idempotency-key": key } });
  await send("DELETE", "8e03978e-40d5");
  await send("DELETE", '"8e03978e-40d5"');
  await send("DELETE", '"a\\"b"');
  await send("GET", "8e03978e-40d5");
  expect(keys).toEqual(["8e03978e-40d5", "8e03978e-40d5", 'a"b', null]);
  for (const key of ['""', "with space", "x".repeat(256), 'half"quoted', '"unended']) {
    expect((await problemOf(await send("DELETE", key))).code).toBe("idempotency_key_invalid");
  }
});

test("a machine's requests need its signature; failed proofs run out", async () => {
  const seen: unknown[] = [];
  const { app } = fakeApp({
    environment: { VOLLEY_RATE_LIMIT_PER_MINUTE: "5" },
    authenticateNode: async (_, proof, request) => {
      seen.push({ proof, request });
      throw new VolleyError("node_signature_invalid", "The signature does not match.");
    },
  });
  const url = "/v1/nodes/nd_01jmq8rx1rf3d9w4k1q3k3zzzz/heartbeat";
  expect((await problemOf(await app.request(url, json({ leases: [] })))).code).toBe("unauthenticated");
  const proof = (node: string) => ({
    "volley-node-signature": `node=${node},channel=heartbeat,counter=7,signature=${"s".repeat(86)}`,
  });
  const answer = await app.request(url, json({ leases: [] }, proof("nd_1")));
  expect((await problemOf(answer)).code).toBe("node_signature_invalid");
  expect(seen[0]).toEqual({
    proof: { nodeId: "nd_1", channel: "heartbeat", counter: 7, signature: "s".repeat(86) },
    request: {
      method: "POST",
      path: url,
      bodySha256: createHash("sha256").update('{"leases":[]}').digest("hex"),
    },
  });
  const codes: string[] = [];
  for (let node = 2; node < 9; node++) {
    codes.push((await problemOf(await app.request(url, json({ leases: [] }, proof(`nd_${node}`))))).code);
  }
  expect(codes.slice(-2)).toEqual(["rate_limited", "rate_limited"]);
});

test("each class has an allowance per caller, said in the headers", async () => {
  const { app } = fakeApp({
    environment: { VOLLEY_RATE_LIMIT_PER_MINUTE: "2" },
    verbs: { "quotes.create": async () => sampleQuote(), "gpus.list": async () => ({ data: [], next_cursor: null }) },
  });
  const ask = (address: string) => app.request("/v1/quotes", json(WISH, { "x-test-address": address }));
  const first = await ask("2001:db8:0:1::1");
  expect(first.headers.get("ratelimit-policy")).toBe('"quote";q=2;w=60');
  expect(first.headers.get("ratelimit")).toBe('"quote";r=1;t=30');
  expect((await ask("2001:db8:0:1::2")).status).toBe(201);
  const refused = await ask("2001:db8:0:1:ffff::3");
  expect(await problemOf(refused)).toMatchObject({
    code: "rate_limited",
    retryable: true,
    violated_policies: ["quote"],
  });
  expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
  expect((await ask("2001:db8:0:2::1")).status).toBe(201);
  const other = await app.request("/v1/gpus", { headers: { "x-test-address": "2001:db8:0:1::1" } });
  expect(other.status).toBe(200);
});

test("paths and methods that don't exist", async () => {
  const { app } = fakeApp();
  expect((await problemOf(await app.request("/v1/nothing"))).code).toBe("route_not_found");
  expect((await problemOf(await app.request("/v1/quotes/"))).code).toBe("route_not_found");
  const wrong = await app.request("/v1/quotes");
  expect((await problemOf(wrong)).code).toBe("method_not_allowed");
  expect(wrong.headers.get("allow")).toBe("POST");
  const preflight = await app.request("/v1/quotes", { method: "OPTIONS" });
  expect(preflight.status).toBe(204);
  expect(preflight.headers.get("access-control-allow-headers")).toContain("Idempotency-Key");
});

test("a Volley-Version that is no date is refused", async () => {
  const { app } = fakeApp();
  const get = (version: string) => app.request("/healthz", { headers: { "volley-version": version } });
  expect((await get("2026-01-01")).status).toBe(200);
  expect((await problemOf(await get("v1"))).code).toBe("invalid_field");
});

test("the reference and the OpenAPI document are served", async () => {
  const { app } = fakeApp();
  const document = await (await app.request("/openapi.json")).json();
  expect(document).toMatchObject({ openapi: "3.1.0" });
  const page = await app.request("/docs");
  expect(page.headers.get("content-security-policy")).not.toContain("script-src");
  const html = await page.text();
  expect(html).toContain("clusters.reserve");
  expect(html).toContain('id="quote_expired"');
  expect(html).not.toMatch(/<script|https?:\/\/(?!localhost)/);
});

test("readiness names the part that is down and is cheap to ask", async () => {
  const { app } = fakeApp();
  const response = await app.request("/readyz");
  expect(response.status).toBe(503);
  expect(await response.json()).toEqual({
    status: "not_ready",
    checks: { database: false, chain: false, market: false },
  });
});

test("metrics are there for whoever has the token, and for nobody else", async () => {
  const token = "metrics-token-0123456789-0123456789";
  const { app } = fakeApp({ environment: { VOLLEY_METRICS_TOKEN: token } });
  const get = (authorization?: string) =>
    app.request("/metrics", authorization === undefined ? {} : { headers: { authorization } });
  const open = await get(`Bearer ${token}`);
  expect(open.status).toBe(200);
  expect(await open.text()).toBe("# none\n");
  for (const wrong of [undefined, "", "Bearer", `Bearer ${token}x`, `Basic ${token}`, token]) {
    const refused = await get(wrong);
    expect(refused.status).toBe(404);
    expect(await refused.json()).toMatchObject({ code: "route_not_found" });
  }
  const { app: without } = fakeApp();
  for (const authorization of ["Bearer ", "Bearer null", "Bearer undefined"]) {
    expect((await without.request("/metrics", { headers: { authorization } })).status).toBe(404);
  }
});

test("a caller who goes while waiting is no failure of ours", async () => {
  const { app, log } = fakeApp({
    verbs: {
      "network.get": async (ctx) => {
        await ctx.hints.wait("cluster:never", 60_000, ctx.signal);
        throw new Error("woken");
      },
    },
  });
  const caller = new AbortController();
  const answer = app.request(new Request("http://localhost/v1/network", { signal: caller.signal }));
  caller.abort();
  expect((await answer).status).toBe(499);
  expect(log).toEqual([]);
});

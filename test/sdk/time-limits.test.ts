import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { AbortedError, ConnectionTimeoutError, Volley } from "../../sdk/index.ts";
import { BASE_URL, fakeApi, json, problem, silence, streamOf } from "./fake-api.ts";

function clientOf(...answers: Parameters<typeof fakeApi>) {
  const api = fakeApi(...answers);
  return { api, volley: new Volley({ baseUrl: BASE_URL, fetch: api.fetch, maxRetries: 0 }) };
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  vi.setTimerTickMode("nextTimerAsync");
});
afterEach(() => {
  vi.useRealTimers();
});

describe("a time limit", () => {
  test("ends a call that is not answered", async () => {
    const { api, volley } = clientOf(silence());
    await expect(volley.network.get()).rejects.toThrow(ConnectionTimeoutError);
    expect(api.seen[0]?.signal?.aborted).toBe(true);
  });

  test("covers the reading of the body", async () => {
    const { volley } = clientOf(streamOf(['{"object":'], "stays open"));
    await expect(volley.network.get({ timeoutMs: 50 })).rejects.toThrow(ConnectionTimeoutError);
  });

  test("covers the body of an error too", async () => {
    const { volley } = clientOf(async (request) => {
      const { body } = await streamOf(["{"], "stays open")(request);
      return new Response(body, { status: 500 });
    });
    await expect(volley.network.get({ timeoutMs: 50 })).rejects.toThrow(ConnectionTimeoutError);
  });

  test("counts for each attempt", async () => {
    const { api, volley } = clientOf(silence(), silence(), json({ nodes: 1 }));
    expect((await volley.network.get({ timeoutMs: 50, maxRetries: 2 })).nodes).toBe(1);
    expect(api.seen).toHaveLength(3);
  });

  test("leaves no timer behind", async () => {
    const { volley } = clientOf(json({}), problem(404, "not_found"));
    await volley.network.get();
    await expect(volley.network.get()).rejects.toThrow();
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("a signal", () => {
  test("that has fired already sends nothing", async () => {
    const { api, volley } = clientOf();
    await expect(volley.network.get({ signal: AbortSignal.abort() })).rejects.toThrow(AbortedError);
    expect(api.seen).toHaveLength(0);
  });

  test("ends a call under way, for good, and says why", async () => {
    const controller = new AbortController();
    const { api, volley } = clientOf(silence());
    const call = volley.network.get({ signal: controller.signal, maxRetries: 5 });
    setTimeout(() => controller.abort("no longer needed"), 10);
    await expect(call).rejects.toMatchObject({ name: "AbortedError", cause: "no longer needed" });
    expect(api.seen).toHaveLength(1);
  });

  test("ends the reading of a body", async () => {
    const controller = new AbortController();
    const { volley } = clientOf(streamOf(["{"], "stays open"));
    const call = volley.network.get({ signal: controller.signal });
    setTimeout(() => controller.abort(), 10);
    await expect(call).rejects.toThrow(AbortedError);
  });

  test("ends the wait between two attempts", async () => {
    const controller = new AbortController();
    const { api, volley } = clientOf(problem(503, "unavailable", { headers: { "retry-after": "50" } }));
    const call = volley.network.get({ signal: controller.signal, maxRetries: 3 });
    setTimeout(() => controller.abort(), 1000);
    await expect(call).rejects.toThrow(AbortedError);
    expect(api.seen).toHaveLength(1);
    expect(vi.getTimerCount()).toBe(0);
  });
});

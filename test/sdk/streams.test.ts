/** Logs, events and exec: they go on where a broken connection left off, and end when they are complete. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Volley } from "../../sdk/index.ts";
import {
  BASE_URL,
  cluster,
  collect,
  connectionFailure,
  fakeApi,
  json,
  output,
  problem,
  silence,
  sse,
  streamOf,
} from "./fake-api.ts";

function clientOf(...answers: Parameters<typeof fakeApi>) {
  const api = fakeApi(...answers);
  return { api, clusters: new Volley({ baseUrl: BASE_URL, fetch: api.fetch }).clusters };
}

const event = (id: string, type: string) => sse(id, type, { id, object: "event", type, data: { node_id: "nd_1" } });

const error = (code: string, status: number, retryable: boolean) =>
  sse("", "error", { status, code, retryable, detail: "Detail.", request_id: "req_1" });

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  vi.setTimerTickMode("nextTimerAsync");
});
afterEach(() => {
  vi.useRealTimers();
});

describe("events", () => {
  test("go on after the last one read when the connection breaks", async () => {
    const { api, clusters } = clientOf(
      streamOf([event("e1", "cluster.reserved"), event("e2", "cluster.paid"), "id: e3\ndata: {"], "breaks"),
      connectionFailure(),
      streamOf([event("e3", "cluster.stopped")]),
      json(cluster({ status: "stopped" })),
    );
    const events = await collect(clusters.events("cl_1"));
    expect(events.map(({ id }) => id)).toEqual(["e1", "e2", "e3"]);
    expect(events[0]?.data).toEqual({ nodeId: "nd_1" });
    expect(api.seen.map(({ headers }) => headers.get("last-event-id"))).toEqual([null, "e2", "e2", null]);
    expect(api.seen[0]?.headers.get("accept")).toBe("text/event-stream");
  });

  test("go on when the server closes while the cluster lives", async () => {
    const { api, clusters } = clientOf(
      streamOf([event("e1", "cluster.reserved")]),
      json(cluster({ status: "running" })),
      streamOf([]),
      json(cluster({ status: "stopped" })),
    );
    expect(await collect(clusters.events("cl_1"))).toHaveLength(1);
    expect(api.seen).toHaveLength(4);
  });

  test("start behind an event that was read earlier", async () => {
    const { api, clusters } = clientOf(streamOf([event("e8", "cluster.paid")]));
    const events = clusters.events("cl_1", { lastEventId: "e7", follow: false });
    expect(await collect(events)).toHaveLength(1);
    expect(events.lastEventId).toBe("e8");
    expect(api.seen[0]?.path).toBe("/v1/clusters/cl_1/events?follow=false");
    expect(api.seen[0]?.headers.get("last-event-id")).toBe("e7");
  });

  test("reconnect after the delay that the server sets", async () => {
    const { api, clusters } = clientOf(
      streamOf([`retry: 1234\n${event("e1", "cluster.reserved")}`], "breaks"),
      streamOf([event("e2", "cluster.stopped")]),
      json(cluster({ status: "stopped" })),
    );
    const startMs = performance.now();
    await collect(clusters.events("cl_1"));
    expect(performance.now() - startMs).toBe(1234);
    expect(api.seen).toHaveLength(3);
  });

  test("reconnect when the connection falls silent, since a dead one says nothing", async () => {
    const { api, clusters } = clientOf(
      streamOf([event("e1", "cluster.reserved")], "stays open"),
      streamOf([event("e2", "cluster.stopped")]),
      json(cluster({ status: "stopped" })),
    );
    const startMs = performance.now();
    expect(await collect(clusters.events("cl_1"))).toHaveLength(2);
    expect(api.seen).toHaveLength(3);
    expect(performance.now() - startMs).toBeLessThan(120_000);
  });

  test("fail with the API's error, at once at the start and when resumed", async () => {
    const refused = clientOf(problem(404, "not_found"));
    await expect(collect(refused.clusters.events("cl_1"))).rejects.toMatchObject({ code: "not_found" });
    const later = clientOf(streamOf([event("e1", "cluster.paid")], "breaks"), problem(400, "invalid_cursor"));
    await expect(collect(later.clusters.events("cl_1"))).rejects.toMatchObject({ code: "invalid_cursor" });
    const inside = clientOf(streamOf([error("not_found", 404, false)]));
    await expect(collect(inside.clusters.events("cl_1"))).rejects.toMatchObject({ code: "not_found", status: 404 });
  });

  test("go on after an error that may pass, up to a limit", async () => {
    const down = streamOf([error("unavailable", 503, true)]);
    const passing = clientOf(
      streamOf([event("e1", "cluster.paid"), error("unavailable", 503, true)]),
      down,
      streamOf([event("e2", "cluster.stopped")]),
      json(cluster({ status: "stopped" })),
    );
    expect(await collect(passing.clusters.events("cl_1"))).toHaveLength(2);
    const staying = clientOf(...Array.from({ length: 9 }, () => down));
    await expect(collect(staying.clusters.events("cl_1"))).rejects.toMatchObject({ code: "unavailable" });
  });

  test("fail when every connection ends without anything", async () => {
    const answers = Array.from({ length: 9 }, () => streamOf([], "breaks"));
    const { api, clusters } = clientOf(...answers);
    await expect(collect(clusters.events("cl_1"))).rejects.toThrow("connection");
    expect(api.seen).toHaveLength(9);
  });

  test("fail rather than repeat themselves when there is no id to go on from", async () => {
    const { clusters } = clientOf(streamOf(['data: {"type":"x"}\n\n'], "breaks"));
    await expect(collect(clusters.events("cl_1"))).rejects.toThrow("carry no ids");
  });

  test("can be iterated once", async () => {
    const { clusters } = clientOf(streamOf([]), json(cluster({ status: "stopped" })));
    const events = clusters.events("cl_1");
    await collect(events);
    await expect(collect(events)).rejects.toThrow("only once");
  });
});

describe("exec", () => {
  test("attaches to the same command with the same key when the connection breaks", async () => {
    const { api, clusters } = clientOf(
      streamOf([output("1", 0, "stdout", "a\n")], "breaks"),
      streamOf([output("2", 0, "stdout", "b\n"), output("3", 0, "exit", null, 0)], "stays open"),
    );
    const outputs = await collect(clusters.exec("cl_1", { command: "x", rank: 0, timeout: "1m" }));
    expect(outputs.map(({ data }) => data)).toEqual(["a\n", "b\n", null]);
    expect(new Set(api.seen.map(({ headers }) => headers.get("idempotency-key"))).size).toBe(1);
    expect(new Set(api.seen.map(({ bodyText }) => bodyText)).size).toBe(1);
    expect(api.seen[0]?.body).toEqual({ command: "x", rank: 0, timeout_seconds: 60 });
    expect(api.seen[1]?.headers.get("last-event-id")).toBe("1");
  });

  test("on all ranks is complete only when every rank has exited", async () => {
    const { api, clusters } = clientOf(
      streamOf([output("1", 1, "exit", null, 0)]),
      json(cluster()),
      streamOf([output("2", 0, "exit", null, 3)]),
    );
    const outputs = await collect(clusters.exec("cl_1", { command: "x" }));
    expect(outputs.map(({ rank, code }) => [rank, code])).toEqual([
      [1, 0],
      [0, 3],
    ]);
    expect(api.seen).toHaveLength(3);
  });
});

describe("leaving", () => {
  test("the loop ends the connection", async () => {
    const { api, clusters } = clientOf(streamOf([event("e1", "cluster.paid")], "stays open"));
    for await (const { id } of clusters.events("cl_1")) if (id === "e1") break;
    expect(api.seen[0]?.signal?.aborted).toBe(true);
  });

  test("by the signal ends a stream that waits", async () => {
    const { api, clusters } = clientOf(streamOf([event("e1", "cluster.paid")], "stays open"));
    const controller = new AbortController();
    const reading = (async () => {
      for await (const { id } of clusters.events("cl_1", {}, { signal: controller.signal })) {
        if (id === "e1") controller.abort(new Error("enough"));
      }
    })();
    await expect(reading).rejects.toMatchObject({ name: "AbortedError", cause: { message: "enough" } });
    expect(api.seen).toHaveLength(1);
  });

  test("by the signal ends the wait before the next connection", async () => {
    const controller = new AbortController();
    const { clusters } = clientOf(streamOf([`retry: 60000\n${event("e1", "cluster.paid")}`], "breaks"), silence());
    setTimeout(() => controller.abort(), 1000);
    const reading = collect(clusters.events("cl_1", {}, { signal: controller.signal }));
    await expect(reading).rejects.toMatchObject({ name: "AbortedError" });
  });
});

test("a stream over real sockets survives connections that are cut", async () => {
  vi.useRealTimers();
  const server = createServer((request, response) => {
    const last = Number(request.headers["last-event-id"] ?? 0);
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(`retry: 1\n\n${output(String(last + 1), 0, "stdout", `line ${last + 1}\n`)}`);
    if (last + 1 < 5) setImmediate(() => response.destroy());
    else response.end(output("6", 0, "exit", null, 0));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const outputs = await collect(new Volley({ baseUrl }).clusters.exec("cl_1", { command: "x", rank: 0 }));
    expect(outputs.map(({ data }) => data)).toEqual(["line 1\n", "line 2\n", "line 3\n", "line 4\n", "line 5\n", null]);
  } finally {
    server.close();
  }
});

import { VolleyError } from "@volley/schema";
import { expect, test, vi } from "vitest";
import { CLUSTER_ID, fakeApp } from "./fake-app.ts";

const url = `/v1/clusters/${CLUSTER_ID}/logs`;
const line = (data: string) => ({
  type: "stdout" as const,
  rank: 0,
  data,
  encoding: "utf-8" as const,
  code: null,
  reason: null,
});

test("events carry name, id and data, after a comment that opens the stream", async () => {
  const { app } = fakeApp({
    verbs: {
      "clusters.logs": async function* () {
        yield { id: "0.0", data: line("one\ntwo") };
        yield { id: "0.1", data: line("three") };
      },
    },
  });
  const response = await app.request(url);
  expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
  expect(response.headers.get("cache-control")).toBe("no-store");
  expect(await response.text()).toBe(
    `: open\n\nevent: stdout\nid: 0.0\ndata: ${JSON.stringify(line("one\ntwo"))}\n\n` +
      `event: stdout\nid: 0.1\ndata: ${JSON.stringify(line("three"))}\n\n`,
  );
});

test("Last-Event-ID reaches the verb; the query's own value wins", async () => {
  const seen: unknown[] = [];
  const { app } = fakeApp({
    verbs: {
      // biome-ignore lint/correctness/useYield: an empty stream
      "clusters.logs": async function* (_, input) {
        seen.push(input.last_event_id, input.follow, input.rank);
      },
    },
  });
  const headers = { "last-event-id": "0.7" };
  await (await app.request(`${url}?follow=false&rank=1`, { headers })).text();
  await (await app.request(`${url}?last_event_id=0.9`, { headers })).text();
  expect(seen).toEqual(["0.7", false, 1, "0.9", true, undefined]);
});

test("an error before the first event is an ordinary problem; later it is the last event", async () => {
  const refuse = new VolleyError("not_found", "No such cluster.");
  const { app } = fakeApp({
    verbs: {
      // biome-ignore lint/correctness/useYield: fails first
      "clusters.logs": async function* () {
        throw refuse;
      },
      "clusters.events": async function* () {
        yield { id: "evt", data: { type: "cluster.paid" } as never };
        throw new Error("the database is gone: hunter2");
      },
    },
  });
  const early = await app.request(url);
  expect(early.status).toBe(404);
  expect(await early.json()).toMatchObject({ code: "not_found" });
  const late = await app.request(`/v1/clusters/${CLUSTER_ID}/events`);
  expect(late.status).toBe(200);
  const events = (await late.text()).trim().split("\n\n");
  expect(events).toHaveLength(3);
  const [name, data] = events[2]?.split("\n") ?? [];
  expect(name).toBe("event: error");
  const problem = JSON.parse(data?.slice("data: ".length) ?? "");
  expect(problem).toMatchObject({ code: "internal", status: 500, request_id: late.headers.get("x-request-id") });
  expect(data).not.toContain("hunter2");
});

test("a reader that stops reading holds the source back", async () => {
  let made = 0;
  const { app } = fakeApp({
    verbs: {
      "clusters.logs": async function* () {
        for (;;) yield { id: String(made++), data: line("x".repeat(1000)) };
      },
    },
  });
  const response = await app.request(url);
  const reader = response.body?.getReader();
  for (let read = 0; read < 5; read++) await reader?.read();
  expect(made).toBeLessThan(12);
  await reader?.cancel();
});

test("when the reader goes, the source is told and cleans up", async () => {
  let cleaned = false;
  const { app } = fakeApp({
    verbs: {
      "clusters.logs": async function* (ctx) {
        try {
          yield { id: "0", data: line("begun") };
          await ctx.hints.wait("cluster:never", 60_000, ctx.signal);
        } finally {
          cleaned = true;
        }
      },
    },
  });
  const response = await app.request(url);
  const reader = response.body?.getReader();
  await reader?.read();
  await reader?.read();
  await reader?.cancel();
  await vi.waitFor(() => expect(cleaned).toBe(true));
});

test("a silent stream begins all the same", async () => {
  const { app } = fakeApp({
    verbs: {
      // biome-ignore lint/correctness/useYield: nothing happens yet
      "clusters.logs": async function* (ctx) {
        await ctx.hints.wait("cluster:never", 60_000, ctx.signal);
      },
    },
  });
  const response = await app.request(url);
  expect(response.status).toBe(200);
  await response.body?.cancel();
});

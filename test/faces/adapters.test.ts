import { expect, test } from "vitest";
import { inProcessHints } from "../../api/adapters/in-process-hints.ts";
import { jsonLogger } from "../../api/adapters/json-logger.ts";
import { prometheusMetrics } from "../../api/adapters/prometheus-metrics.ts";
import { strongRandom } from "../../api/adapters/strong-random.ts";
import { systemClock } from "../../api/adapters/system-clock.ts";
import { rateLimiter } from "../../api/faces/rate-limiter.ts";

test("no credential reaches the log, whatever it hides in", () => {
  const lines: string[] = [];
  const logger = jsonLogger({ clock: systemClock, level: "info", write: (line) => lines.push(line) });
  const inner = new Error("postgres://volley:hunter2@db:5432/x refused");
  const statement = new Error("Failed query: INSERT INTO clusters VALUES ($1, $2)\nparams: a,hunter2\nhunter2");
  logger.with({ request_id: "req_1" }).info("calling with Bearer hunter2.hunter2", {
    headers: { Authorization: "Bearer hunter2", accept: "*/*" },
    quote_token: "hunter2",
    cluster: { secret: "hunter2", env: { PASSWORD: "hunter2" }, metadata: { list: ["vly_hunter2"] } },
    idempotencyKey: "hunter2",
    error: new Error("failed", { cause: inner }),
    amount: 12n,
    statement,
  });
  expect(lines).toHaveLength(1);
  expect(lines[0]).not.toContain("hunter2");
  expect(JSON.parse(lines[0] ?? "")).toMatchObject({
    level: "info",
    request_id: "req_1",
    headers: { accept: "*/*" },
    amount: "12",
    error: { name: "Error", message: "failed", cause: { message: "postgres://volley:[redacted]@db:5432/x refused" } },
  });
});

test("lines below the level are not written", () => {
  const lines: string[] = [];
  const logger = jsonLogger({ clock: systemClock, level: "warn", write: (line) => lines.push(line) });
  logger.debug("a");
  logger.info("b");
  logger.warn("c");
  logger.error("d");
  expect(lines.map((line) => JSON.parse(line).message)).toEqual(["c", "d"]);
});

test("a hint wakes those who wait for its topic, and the time limit wakes the others", async () => {
  const hints = inProcessHints(systemClock);
  const woken = hints.wait("cluster:1", 60_000);
  hints.notify("cluster:1");
  await woken;
  hints.notify("cluster:1");
  await hints.wait("cluster:1", 1);
  const stop = new AbortController();
  const stopped = hints.wait("cluster:2", 60_000, stop.signal);
  stop.abort(new Error("gone"));
  await expect(stopped).rejects.toThrow("gone");
  await expect(hints.wait("cluster:2", 60_000, stop.signal)).rejects.toThrow("gone");
});

test("random bytes are never handed out twice and don't change afterwards", () => {
  const random = strongRandom();
  const pieces = Array.from({ length: 2000 }, () => random.bytes(10));
  expect(new Set(pieces.map((piece) => Buffer.from(piece).toString("hex"))).size).toBe(2000);
  const [first] = pieces;
  const copy = first?.slice();
  for (let round = 0; round < 1000; round++) random.bytes(16);
  expect(first).toEqual(copy);
  expect(random.bytes(5000)).toHaveLength(5000);
});

test("metrics are rendered for Prometheus; one that is not declared is dropped with a warning", async () => {
  const warnings: string[] = [];
  const logger = jsonLogger({ clock: systemClock, level: "warn", write: (line) => warnings.push(line) });
  const metrics = prometheusMetrics(logger);
  metrics.observe("volley_http_request_seconds", 0.02, { operation: "quotes.create", status: "201" });
  metrics.count("volley_errors_total", { operation: "quotes.create", code: "unknown_gpu" }, 2);
  metrics.count("volley_unheard_of_total");
  metrics.count("volley_unheard_of_total");
  const text = await metrics.render();
  expect(text).toContain('volley_http_request_seconds_count{operation="quotes.create",status="201"} 1');
  expect(text).toContain('volley_errors_total{operation="quotes.create",code="unknown_gpu"} 2');
  expect(warnings).toHaveLength(1);
});

test("an allowance comes back at a steady rate, and one caller's use is not another's", () => {
  const limiter = rateLimiter({ quota: 3 });
  const take = (nowMs: number, caller = "a") => limiter.take("read", caller, nowMs).remaining;
  expect([take(0), take(0), take(0)]).toEqual([2, 1, 0]);
  expect(() => take(19_000)).toThrow("More than 3 requests");
  expect(limiter.isEmpty("read", "a", 19_000)).toBe(true);
  expect(limiter.isEmpty("read", "a", 20_000)).toBe(false);
  expect(take(20_000)).toBe(0);
  expect(take(20_000, "b")).toBe(2);
  expect(take(200_000)).toBe(2);
});

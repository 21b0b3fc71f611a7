/** Metrics in this process, for Prometheus to scrape. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import { METRICS } from "../metrics.ts";
import type { Logger } from "../ports/logger.ts";
import type { Metrics } from "../ports/metrics.ts";

/** From a replayed answer to a request that waits for its node. */
const BUCKETS_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** A metric that is not declared is dropped with a warning: figures must never break what they measure. */
export function prometheusMetrics(logger: Logger): Metrics {
  const register = new Registry();
  collectDefaultMetrics({ register, prefix: "volley_" });
  const counters = new Map<string, Counter>();
  const gauges = new Map<string, Gauge>();
  const histograms = new Map<string, Histogram>();
  for (const [name, { kind, help, labels }] of Object.entries(METRICS)) {
    const common = { name, help, labelNames: [...labels], registers: [register] };
    if (kind === "counter") counters.set(name, new Counter(common));
    else if (kind === "gauge") gauges.set(name, new Gauge(common));
    else histograms.set(name, new Histogram({ ...common, buckets: BUCKETS_SECONDS }));
  }
  const undeclared = new Set<string>();
  const declared = <Kept>(known: ReadonlyMap<string, Kept>, name: string): Kept | undefined => {
    const kept = known.get(name);
    if (kept === undefined && !undeclared.has(name)) {
      undeclared.add(name);
      logger.warn("a metric is not declared in api/metrics.ts", { metric: name });
    }
    return kept;
  };
  return {
    count: (name, labels = {}, by = 1) => declared(counters, name)?.inc(labels, by),
    gauge: (name, value, labels = {}) => declared(gauges, name)?.set(labels, value),
    observe: (name, seconds, labels = {}) => declared(histograms, name)?.observe(labels, seconds),
    render: () => register.metrics(),
  };
}

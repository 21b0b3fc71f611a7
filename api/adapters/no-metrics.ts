/** For runtimes where a process is too short-lived to count in: the platform's own analytics see the requests. */
import type { Metrics } from "../ports/metrics.ts";

export const noMetrics: Metrics = {
  count: () => undefined,
  gauge: () => undefined,
  observe: () => undefined,
  render: async () => "",
};

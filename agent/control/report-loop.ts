import type { AgentLog, ControlPlane } from "../ports.ts";
import type { Counters } from "../state/counters.ts";
import type { Backoff } from "./backoff.ts";
import { handleFailure, requireKind } from "./call-api.ts";
import type { ReportQueue } from "./report-queue.ts";

const callTimeoutMs = 20_000;

/**
 * Delivers what is queued, one report after another, until it is aborted. A report is repeated until the control plane
 * has it; repeating is harmless, since chunks are numbered. One that it refuses as malformed is dropped, or it would
 * hold up all that follow.
 */
export async function runReportLoop(options: {
  readonly nodeId: string;
  readonly api: ControlPlane;
  readonly queue: ReportQueue;
  readonly counters: Counters;
  readonly backoff: Backoff;
  readonly log: AgentLog;
  readonly signal: AbortSignal;
}): Promise<void> {
  const { api, queue, signal, backoff, log } = options;
  while (!signal.aborted) {
    const batch = queue.nextBatch();
    if (batch === null) {
      await queue.waitForWork(signal);
      continue;
    }
    const report = { chunks: [...batch.chunks], exits: [...batch.exits], leases: [...batch.leases] };
    try {
      const heard = await api.report(options.nodeId, report, { signal, timeoutMs: callTimeoutMs, maxRetries: 0 });
      requireKind(heard, "node_report");
      backoff.reset();
      batch.settle();
    } catch (error) {
      const failure = await handleFailure(error, { ...options, channel: "report" });
      if (failure === "rejected") {
        log.warn("The API refused a report for ever, so it is dropped.", {
          chunks: batch.chunks.length,
          exits: batch.exits.length,
          leases: batch.leases.length,
        });
        batch.settle();
      }
    }
  }
}

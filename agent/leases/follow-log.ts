import { encodeData } from "../control/encode-chunk.ts";
import type { ReportQueue } from "../control/report-queue.ts";
import type { WorkloadRuntime } from "../runtime/workload-runtime.ts";
import type { LeaseBook } from "../state/lease-book.ts";

/**
 * Passes a workload's log on from where its delivery stopped, until the workload ends. One entry of the runtime is one
 * chunk, so that after a restart the same output gets the same numbers, and the control plane can tell repetitions.
 */
export async function followLog(options: {
  readonly runtime: WorkloadRuntime;
  readonly leaseId: string;
  readonly book: LeaseBook;
  readonly queue: ReportQueue;
  readonly signal: AbortSignal;
}): Promise<void> {
  const { runtime, leaseId, book, queue, signal } = options;
  const delivered = book.leases.get(leaseId)?.log ?? { nextSequence: 0, cursor: null };
  let sequence = delivered.nextSequence;
  for await (const entry of runtime.logs(leaseId, delivered.cursor, signal)) {
    const chunk = { leaseId, sequence, stream: entry.stream, ...encodeData(entry.data) };
    const log = { nextSequence: sequence + 1, cursor: entry.cursor };
    await queue.pushChunk(chunk, signal, () => book.changeLease(leaseId, { log }));
    sequence += 1;
  }
}

import type { Assignments } from "@volley/sdk";
import type { AgentLog, Clock, ControlPlane } from "../ports.ts";
import type { Counters } from "../state/counters.ts";
import type { Backoff } from "./backoff.ts";
import { handleFailure, requireKind } from "./call-api.ts";
import type { ServerClock } from "./server-clock.ts";

const waitSeconds = 20;
const callTimeoutMs = (waitSeconds + 15) * 1_000;
/** A server that answers at once although nothing changed must not be asked in a tight loop. */
const shortestRoundMs = 100;

/** Asks again and again what should run here; each answer is the whole truth at that moment. */
export async function runAssignmentLoop(options: {
  readonly nodeId: string;
  readonly api: ControlPlane;
  readonly apply: (assignments: Assignments) => void;
  readonly clock: Clock;
  readonly serverClock: ServerClock;
  readonly counters: Counters;
  readonly backoff: Backoff;
  readonly log: AgentLog;
  readonly signal: AbortSignal;
}): Promise<void> {
  const { api, clock, signal, backoff } = options;
  let revision: string | undefined;
  while (!signal.aborted) {
    const sentMs = clock.monotonicMs();
    const callOptions = { signal, timeoutMs: callTimeoutMs, maxRetries: 0 };
    try {
      const heard = await api.assignments(options.nodeId, { after: revision, waitSeconds }, callOptions);
      const assignments = requireKind(heard, "assignments");
      backoff.reset();
      const changed = assignments.revision !== revision;
      revision = assignments.revision;
      // Written when the wait ended, so just before it was received. Leases must not be judged by another clock.
      const receivedMs = clock.monotonicMs();
      options.serverClock.hear(assignments.serverTime, receivedMs, receivedMs);
      options.apply(assignments);
      const restMs = shortestRoundMs - (clock.monotonicMs() - sentMs);
      if (!changed && restMs > 0) {
        await clock.sleep(restMs, signal);
      }
    } catch (error) {
      await handleFailure(error, { ...options, channel: "assignments" });
    }
  }
}

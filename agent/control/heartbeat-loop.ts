import type { LeaseObservation } from "@volley/sdk";
import type { AgentLog, Clock, ControlPlane } from "../ports.ts";
import type { Counters } from "../state/counters.ts";
import type { Backoff } from "./backoff.ts";
import { handleFailure, requireKind } from "./call-api.ts";
import type { ServerClock } from "./server-clock.ts";

const callTimeoutMs = 10_000;
const observePollMs = 100;
const shortestIntervalMs = 1_000;
const longestIntervalMs = 60_000;

/**
 * Says every few seconds that the machine is alive and what runs on it, at the pace that the control plane asks for.
 * `observe` answers null as long as the machine could not be looked at: then nothing is said, because a lease that a
 * heartbeat leaves out counts as gone, and one that it names as running is billed.
 */
export async function runHeartbeatLoop(options: {
  readonly nodeId: string;
  readonly api: ControlPlane;
  readonly observe: () => readonly LeaseObservation[] | null;
  readonly clock: Clock;
  readonly serverClock: ServerClock;
  readonly counters: Counters;
  readonly backoff: Backoff;
  readonly log: AgentLog;
  readonly signal: AbortSignal;
}): Promise<void> {
  const { api, clock, signal, backoff } = options;
  while (!signal.aborted) {
    const leases = options.observe();
    if (leases === null) {
      await clock.sleep(observePollMs, signal);
      continue;
    }
    const sentMs = clock.monotonicMs();
    try {
      const callOptions = { signal, timeoutMs: callTimeoutMs, maxRetries: 0 };
      const heard = await api.heartbeat(options.nodeId, { leases: [...leases] }, callOptions);
      const answer = requireKind(heard, "node_heartbeat");
      options.serverClock.hear(answer.serverTime, sentMs, clock.monotonicMs());
      backoff.reset();
      const wantedMs = answer.intervalSeconds * 1_000;
      const intervalMs = Math.min(Math.max(wantedMs, shortestIntervalMs), longestIntervalMs);
      await clock.sleep(Math.max(intervalMs - (clock.monotonicMs() - sentMs), 0), signal);
    } catch (error) {
      await handleFailure(error, { ...options, channel: "heartbeat" });
    }
  }
}

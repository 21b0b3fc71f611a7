import type { NodeChannel } from "@volley/schema/node-signature";
import { APIError } from "@volley/sdk";
import type { AgentLog } from "../ports.ts";
import type { Counters } from "../state/counters.ts";
import type { Backoff } from "./backoff.ts";

/** What to do about a call that failed. */
export type Failure = "retry" | "rejected";

/**
 * Judges a failed call, tells the supplier on the first failure in a row, and waits. `rejected` means that the same
 * call can never succeed; everything else may pass: networks, restarts, a counter that was used.
 */
export async function handleFailure(
  error: unknown,
  call: {
    readonly channel: NodeChannel;
    readonly counters: Counters;
    readonly backoff: Backoff;
    readonly log: AgentLog;
    readonly signal: AbortSignal;
  },
): Promise<Failure> {
  if (call.signal.aborted) {
    return "retry";
  }
  const code = error instanceof APIError ? error.code : null;
  if (code === "node_counter_replayed") {
    call.counters.skipAhead(call.channel);
  }
  if (call.backoff.failures === 0) {
    call.log.warn("The API could not be asked; it will be tried again.", {
      channel: call.channel,
      problem: describe(error),
    });
  }
  // Without a code it was not the API that answered, but a proxy on the way; all may be well the next time.
  const rejected = error instanceof APIError && code !== "unknown" && [400, 413, 422].includes(error.status);
  await call.backoff.wait(call.signal);
  return rejected ? "rejected" : "retry";
}

/**
 * The answer, if it is of the kind that was asked for: a proxy that tells of maintenance may answer with JSON, too.
 * @throws Error
 */
export function requireKind<Answer extends { readonly object: string }>(
  answer: Answer,
  object: Answer["object"],
): Answer {
  if (answer.object !== object) {
    throw new Error(`What answered is not the API: ${JSON.stringify(answer).slice(0, 200)}`);
  }
  return answer;
}

function describe(error: unknown): string {
  if (error instanceof APIError) {
    return `${error.status} ${error.code}: ${error.message}`;
  }
  return error instanceof Error ? error.message : String(error);
}

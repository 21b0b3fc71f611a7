import type { Context } from "../context.ts";

export interface TopicWatch {
  /** Resolves at a notification since the watch began, after the time, or when the caller has gone. */
  readonly changed: Promise<void>;
  stop(): void;
}

/** Begins before a look at the database, so that a change during the look ends the wait after it. */
export function watchTopic(ctx: Pick<Context, "hints" | "signal">, topic: string, ms: number): TopicWatch {
  const stopped = new AbortController();
  const changed = ctx.hints
    .wait(topic, ms, AbortSignal.any([ctx.signal, stopped.signal]))
    // Only an abort rejects, and whoever waits looks at its signal next.
    .catch(() => undefined);
  return { changed, stop: () => stopped.abort() };
}

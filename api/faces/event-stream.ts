/**
 * Server-sent events (HTML standard, section 9.2). One message is pulled from its source when the connection
 * has taken the one before, so a slow reader holds the source back instead of filling memory.
 */
import type { Clock } from "../ports/clock.ts";

/** Proxies cut connections that are silent for longer, often after 30 or 60 seconds. */
const KEEP_ALIVE_MS = 15_000;
/** An error within this time becomes the answer itself; later, the stream has begun. */
const FIRST_MESSAGE_MS = 1_000;

export interface StreamMessage {
  readonly event: string;
  readonly id?: string;
  readonly data: string;
}

export const EVENT_STREAM_HEADERS = {
  "content-type": "text/event-stream; charset=utf-8",
  // Reverse proxies must pass on each event at once.
  "x-accel-buffering": "no",
} as const;

export interface EventStreamOptions {
  readonly clock: Clock;
  /** Aborted when the request's connection has gone. */
  readonly signal: AbortSignal;
  /** Aborted by us when the stream ends for whatever reason, so that the source stops waiting. */
  readonly gone: AbortController;
  /** Called once when the stream has ended. */
  readonly onEnd: () => void;
  /** The last message of a stream that broke. */
  readonly onError: (error: unknown) => StreamMessage;
}

type Step = IteratorResult<StreamMessage, unknown>;

function print({ event, id, data }: StreamMessage): string {
  return `event: ${event}\n${id === undefined ? "" : `id: ${id}\n`}data: ${data}\n\n`;
}

/**
 * @returns the body, once the source has yielded, ended or been silent for a moment
 * @throws what the source throws before that
 */
export async function eventStream(
  source: AsyncIterator<StreamMessage, unknown>,
  options: EventStreamOptions,
): Promise<ReadableStream<Uint8Array>> {
  const { clock, gone, signal } = options;
  const encoder = new TextEncoder();
  let ended = false;
  let cancelled = false;
  const end = () => {
    if (ended) return;
    ended = true;
    signal.removeEventListener("abort", end);
    gone.abort(new Error("the stream has ended"));
    options.onEnd();
    // A source that is waiting has seen the signal; one that is not runs its clean-up now.
    Promise.resolve(source.return?.()).catch(() => undefined);
  };
  signal.addEventListener("abort", end, { once: true });
  if (signal.aborted) {
    end();
    throw signal.reason;
  }

  let pending: Promise<Step> | null = source.next();
  try {
    await silentFor(pending, FIRST_MESSAGE_MS, clock);
  } catch (error) {
    end();
    throw error;
  }
  return new ReadableStream<Uint8Array>(
    {
      start: (controller) => controller.enqueue(encoder.encode(": open\n\n")),
      async pull(controller) {
        try {
          pending ??= source.next();
          const step = await silentFor(pending, KEEP_ALIVE_MS, clock);
          if (step === null) return controller.enqueue(encoder.encode(": keep-alive\n\n"));
          pending = null;
          if (!step.done) return controller.enqueue(encoder.encode(print(step.value)));
        } catch (error) {
          if (!ended) controller.enqueue(encoder.encode(print(options.onError(error))));
        }
        end();
        if (!cancelled) controller.close();
      },
      cancel() {
        cancelled = true;
        end();
      },
    },
    { highWaterMark: 1 },
  );
}

/** The step, or null when it takes longer. */
async function silentFor(pending: Promise<Step>, ms: number, clock: Clock): Promise<Step | null> {
  const arrived = new AbortController();
  const silence = clock.sleep(ms, arrived.signal).then(
    () => null,
    () => null,
  );
  try {
    return await Promise.race([pending, silence]);
  } finally {
    arrived.abort();
  }
}

/** A stream of the API as an async iterable that takes itself up again where a broken connection left off. */
import { apiErrorOf, ConnectionError, InvalidAnswerError, VolleyError } from "./errors.ts";
import type { Problem } from "./generated.ts";
import { backoffMs } from "./retry.ts";
import { readServerSentEvents, type ServerSentEvent } from "./server-sent-events.ts";
import { type OpenResponse, parseJson } from "./transport.ts";
import { pause } from "./wait.ts";

/** A connection that says nothing for so long, not even a comment, is taken for dead. */
const IDLE_MS_MAX = 90_000;
/** How many connections in a row may end without a single event before the stream fails. */
const FRUITLESS_CONNECTIONS_MAX = 8;
/** A connection that lived so long was sound, whether or not something happened meanwhile. */
const SOUND_CONNECTION_MS = 10_000;
const RECONNECT_MS_MAX = 60_000;
/** The longest time that a timer counts (2^31 - 1 ms): practically no limit. */
const NO_LIMIT_MS = 0x7fff_ffff;

export interface StreamSource<T> {
  /** Opens a connection behind the given event. `isResumed` once something was read before. */
  open(lastEventId: string | undefined, isResumed: boolean): Promise<OpenResponse>;
  /** Told every item. True when none can follow, so that nothing more is waited for. */
  isLast(item: T): boolean;
  /** Asked when the server closes the stream in good order: was that the end, or only of this connection? */
  isOver(): Promise<boolean>;
  readonly lastEventId: string | undefined;
  readonly signal: AbortSignal | undefined;
}

async function* bytesOf(open: OpenResponse): AsyncGenerator<Uint8Array, void, undefined> {
  if (open.response.body === null) return;
  const reader = open.response.body.getReader();
  for (;;) {
    // The limit runs only while the reader waits: a slow consumer is no dead connection.
    open.touch(IDLE_MS_MAX);
    const { done, value } = await reader.read();
    open.touch(NO_LIMIT_MS);
    if (done) return;
    yield value;
  }
}

/** How reading one connection ended: by the last item, in good order, or by a failure that may pass. */
type Ending = "complete" | "closed" | VolleyError;

/** @throws {APIError} the API's error inside a stream, unless it may pass by itself */
function passingErrorOf({ data }: ServerSentEvent): VolleyError {
  const problem = parseJson(data) as Problem;
  const error = apiErrorOf(problem.status, new Headers(), problem);
  if (error.retryable) return error;
  throw error;
}

/**
 * Iterate it once. The request goes out with the first step; leaving the loop ends the connection.
 * Memory stays bounded: nothing is read before it is asked for.
 */
export class EventStream<T> implements AsyncIterable<T> {
  readonly #source: StreamSource<T>;
  #lastEventId: string | undefined;
  #itemCount = 0;
  #reconnectMs: number | undefined;
  #isStarted = false;

  constructor(source: StreamSource<T>) {
    this.#source = source;
    this.#lastEventId = source.lastEventId;
  }

  /** Id of the last event read: pass it as `lastEventId` to go on from there later. */
  get lastEventId(): string | undefined {
    return this.#lastEventId;
  }

  /**
   * @throws {APIError} when the API refuses
   * @throws {ConnectionError} when the connection breaks again and again
   * @throws {AbortedError} when the signal ends the stream
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    if (this.#isStarted) throw new TypeError("a stream can be iterated only once; start another one");
    this.#isStarted = true;
    let fruitless = 0;
    for (let connections = 0; ; connections++) {
      const [startMs, itemsBefore] = [performance.now(), this.#itemCount];
      const open = await this.#source.open(this.#lastEventId, connections > 0);
      const ending = yield* this.#drain(open);
      if (ending === "complete") return;
      if (ending === "closed" && (await this.#source.isOver())) return;
      this.#requireResumable();
      const isSound = this.#itemCount > itemsBefore || performance.now() - startMs >= SOUND_CONNECTION_MS;
      fruitless = isSound ? 0 : fruitless + 1;
      if (fruitless > FRUITLESS_CONNECTIONS_MAX) {
        throw ending === "closed" ? new ConnectionError("The stream ended again and again before its end.") : ending;
      }
      await pause(this.#reconnectMs ?? backoffMs(fruitless), this.#source.signal);
    }
  }

  async *#drain(open: OpenResponse): AsyncGenerator<T, Ending, undefined> {
    const onRetry = (delayMs: number) => {
      this.#reconnectMs = Math.min(delayMs, RECONNECT_MS_MAX);
    };
    const events = readServerSentEvents(bytesOf(open), { onRetry });
    try {
      for (;;) {
        const next = await this.#next(events, open);
        if (next === "closed" || next instanceof VolleyError) return next;
        const item = this.#read(next);
        const isLast = this.#source.isLast(item);
        yield item;
        if (isLast) return "complete";
      }
    } finally {
      open.close();
    }
  }

  async #next(
    events: AsyncGenerator<ServerSentEvent, void, undefined>,
    open: OpenResponse,
  ): Promise<ServerSentEvent | "closed" | VolleyError> {
    try {
      const { done, value } = await events.next();
      if (done) return "closed";
      return value.event === "error" ? passingErrorOf(value) : value;
    } catch (error) {
      const failure = open.explain(error);
      if (failure instanceof ConnectionError) return failure;
      throw failure;
    }
  }

  #read({ data, id }: ServerSentEvent): T {
    const item = parseJson(data);
    this.#itemCount += 1;
    if (id !== "") this.#lastEventId = id;
    return item as T;
  }

  #requireResumable(): void {
    if (this.#itemCount > 0 && this.#lastEventId === undefined) {
      throw new InvalidAnswerError("The stream broke and its events carry no ids, so it can't be taken up again.");
    }
  }
}

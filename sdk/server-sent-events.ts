/** Reads a stream of server-sent events (HTML Living Standard, section 9.2.6 "Interpreting an event stream"). */
import { InvalidAnswerError } from "./errors.ts";

export interface ServerSentEvent {
  /** The event's type; "message" when the stream names none. */
  readonly event: string;
  readonly data: string;
  /** The last id that the stream has set, by this event or one before it. */
  readonly id: string;
}

export interface ServerSentEventOptions {
  /** An event that grows beyond this many characters ends the reading. */
  readonly charactersMax?: number;
  /** Told when the stream asks for another delay before reconnecting. */
  readonly onRetry?: (delayMs: number) => void;
}

const CHARACTERS_MAX = 4 * 1024 * 1024;

class EventBuilder {
  #event = "";
  #data: string[] = [];
  #length = 0;
  #id = "";
  readonly #options: ServerSentEventOptions;

  constructor(options: ServerSentEventOptions) {
    this.#options = options;
  }

  /** Takes one line; a blank one completes an event. */
  take(line: string): ServerSentEvent | null {
    if (line === "") return this.#complete();
    const colon = line.indexOf(":");
    if (colon === 0) return null;
    const field = colon === -1 ? line : line.slice(0, colon);
    const rest = colon === -1 ? "" : line.slice(colon + 1);
    this.#set(field, rest.startsWith(" ") ? rest.slice(1) : rest);
    return null;
  }

  #set(field: string, value: string): void {
    if (field === "data") {
      this.#data.push(value);
      this.#length += value.length + 1;
      refuseBeyond(this.#length, this.#options);
    } else if (field === "event") {
      this.#event = value;
    } else if (field === "id") {
      if (!value.includes("\0")) this.#id = value;
    } else if (field === "retry" && /^[0-9]+$/.test(value)) {
      this.#options.onRetry?.(Number(value));
    }
  }

  #complete(): ServerSentEvent | null {
    const { length } = this.#data;
    const event = { event: this.#event || "message", data: this.#data.join("\n"), id: this.#id };
    this.#event = "";
    this.#data = [];
    this.#length = 0;
    return length === 0 ? null : event;
  }
}

function refuseBeyond(characters: number, options: ServerSentEventOptions): void {
  const { charactersMax = CHARACTERS_MAX } = options;
  if (characters > charactersMax) {
    throw new InvalidAnswerError(`The stream holds an event of more than ${charactersMax} characters.`);
  }
}

/**
 * Splits bytes into events as they come; an event that the end of the stream cuts off is dropped.
 * @throws {InvalidAnswerError} when an event is too long
 */
export async function* readServerSentEvents(
  chunks: AsyncIterable<Uint8Array>,
  options: ServerSentEventOptions = {},
): AsyncGenerator<ServerSentEvent, void, undefined> {
  const decoder = new TextDecoder();
  const builder = new EventBuilder(options);
  const lineEnd = /\r\n|\n|\r/g;
  let rest = "";
  // A CR ends its line at once; an LF that follows it, perhaps in the next chunk, belongs to it.
  let isAfterReturn = false;
  for await (const chunk of chunks) {
    let fresh = decoder.decode(chunk, { stream: true });
    if (fresh === "") continue;
    if (isAfterReturn && fresh.startsWith("\n")) fresh = fresh.slice(1);
    isAfterReturn = fresh === "" ? false : fresh.endsWith("\r");
    lineEnd.lastIndex = rest.length;
    const text = rest + fresh;
    let start = 0;
    for (let match = lineEnd.exec(text); match !== null; match = lineEnd.exec(text)) {
      const event = builder.take(text.slice(start, match.index));
      start = match.index + match[0].length;
      if (event !== null) yield event;
    }
    rest = text.slice(start);
    refuseBeyond(rest.length, options);
  }
}

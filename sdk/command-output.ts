/** Puts the pieces of a command's output together: into lines, or into one result. */
import { VolleyError } from "./errors.ts";
import type { Output } from "./generated.ts";

/** How one rank ended. */
export interface Exit {
  readonly rank: number;
  /** Null when the command came to no regular end; `reason` says why. */
  readonly code: number | null;
  readonly reason: string | null;
}

export interface OutputLine {
  readonly rank: number;
  readonly stream: "stdout" | "stderr";
  /** One line with its line end; the last one may lack it. */
  readonly text: string;
}

/** At least one rank did not exit with 0. */
export class CommandFailedError extends VolleyError {
  override name = "CommandFailedError";
  /** How every rank ended, in the order of the ranks. */
  readonly exits: readonly Exit[];

  constructor(exits: readonly Exit[]) {
    const failed = exits.filter(isFailure);
    super(
      `The command failed on ${failed
        .map(({ rank, code, reason }) => `rank ${rank} (${reason ?? `exit code ${code}`})`)
        .join(", ")}.`,
    );
    this.exits = exits;
  }
}

function isFailure(exit: Exit): boolean {
  return exit.code !== 0;
}

/** A line that grows beyond this is handed out in parts. */
const LINE_CHARACTERS_MAX = 65_536;

function bytesOf(base64: string): Uint8Array {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

/** Text of one stream of one rank. Bytes cut in the middle of a character wait for their rest. */
class TextSource {
  readonly #decoder = new TextDecoder();
  #rest = "";

  decode(output: Output): string {
    if (output.data === null) return "";
    if (output.encoding === "base64") return this.#decoder.decode(bytesOf(output.data), { stream: true });
    return this.#decoder.decode() + output.data;
  }

  lines(output: Output): string[] {
    const parts = (this.#rest + this.decode(output)).split(/(?<=\n)/);
    const last = parts.at(-1) ?? "";
    const isWhole = last.endsWith("\n") || last.length > LINE_CHARACTERS_MAX;
    this.#rest = isWhole ? "" : last;
    return isWhole ? parts : parts.slice(0, -1);
  }

  /** What is left at the end. */
  flush(): string {
    const rest = this.#rest + this.#decoder.decode();
    this.#rest = "";
    return rest;
  }
}

type StreamName = OutputLine["stream"];
const STREAMS: readonly StreamName[] = ["stdout", "stderr"];

class RankSources {
  readonly #sources = new Map<string, TextSource>();

  of(rank: number, stream: StreamName): TextSource {
    const key = `${rank} ${stream}`;
    const source = this.#sources.get(key) ?? new TextSource();
    this.#sources.set(key, source);
    return source;
  }

  flush(rank: number): OutputLine[] {
    return STREAMS.map((stream) => ({ rank, stream, text: this.of(rank, stream).flush() })).filter(
      ({ text }) => text !== "",
    );
  }
}

/** Which stream a piece belongs to; null for what is no output. */
function streamOf(output: Output): StreamName | null {
  return STREAMS.find((stream) => stream === output.type) ?? null;
}

function exitOf(output: Output): Exit {
  return { rank: output.rank, code: output.code, reason: output.reason };
}

/**
 * Hands out whole lines, each as soon as it is complete.
 * @throws {CommandFailedError} after the last line, when a rank did not exit with 0
 */
export async function* readLines(outputs: AsyncIterable<Output>): AsyncGenerator<OutputLine, void, undefined> {
  const sources = new RankSources();
  const exits = new Map<number, Exit>();
  for await (const output of outputs) {
    const { rank } = output;
    const stream = streamOf(output);
    if (stream !== null) {
      for (const text of sources.of(rank, stream).lines(output)) yield { rank, stream, text };
    } else if (output.type === "exit") {
      yield* sources.flush(rank);
      exits.set(rank, exitOf(output));
    }
  }
  const ended = [...exits.values()].sort((one, other) => one.rank - other.rank);
  if (ended.some(isFailure)) throw new CommandFailedError(ended);
}

export interface RankResult extends Exit {
  readonly stdout: string;
  readonly stderr: string;
}

export interface ExecutionResult {
  /** In the order of the ranks. */
  readonly ranks: readonly RankResult[];
  /** Whether output beyond the limit was dropped. */
  readonly isTruncated: boolean;
}

/** Collects everything; output beyond `bytesMax` (UTF-8, over all ranks) is dropped, exit codes never are. */
export async function collectResult(outputs: AsyncIterable<Output>, bytesMax: number): Promise<ExecutionResult> {
  const sources = new RankSources();
  const texts = new Map<number, Record<StreamName, string>>();
  const exits = new Map<number, Exit>();
  let bytes = 0;
  for await (const output of outputs) {
    const text = texts.get(output.rank) ?? { stdout: "", stderr: "" };
    texts.set(output.rank, text);
    const stream = streamOf(output);
    if (stream !== null) {
      const piece = sources.of(output.rank, stream).decode(output);
      bytes += new TextEncoder().encode(piece).length;
      if (bytes <= bytesMax) text[stream] += piece;
    } else if (output.type === "exit") {
      exits.set(output.rank, exitOf(output));
    }
  }
  const ranks = [...exits.values()]
    .sort((one, other) => one.rank - other.rank)
    .map((exit) => ({ ...exit, ...(texts.get(exit.rank) ?? { stdout: "", stderr: "" }) }));
  return { ranks, isTruncated: bytes > bytesMax };
}

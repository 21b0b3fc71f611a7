import type { Readable } from "node:stream";
import type Docker from "dockerode";
import { engineStatus } from "./engine-connection.ts";
import { readOutputFrames } from "./multiplexed-output.ts";
import { untilClosed } from "./until-closed.ts";
import type { LogChunk } from "./workload-runtime.ts";

/**
 * A place in a log: entries are known by the second they were written in (Podman's API tells no finer time)
 * and their number within it.
 */
interface LogPosition {
  readonly second: number;
  readonly seen: number;
}

/**
 * The main process's output from `cursor` on, as it comes. Ends when the container does, or when aborted.
 * A container that is gone has no log: the iteration ends at once.
 */
export async function* readContainerLogs(
  streams: Docker,
  name: string,
  cursor: string | null,
  signal: AbortSignal,
): AsyncGenerator<LogChunk> {
  const start = parseCursor(cursor);
  const source = await openLog(streams, name, start, signal);
  if (source === null) {
    return;
  }
  let position: LogPosition = { second: start?.second ?? 0, seen: 0 };
  try {
    for await (const frame of readOutputFrames(untilClosed(source), { wholeFrames: true })) {
      const { second, text } = splitTimestamp(Buffer.from(frame.data));
      position = second === position.second ? { second, seen: position.seen + 1 } : { second, seen: 1 };
      const known =
        start !== null && (second < start.second || (second === start.second && position.seen <= start.seen));
      if (!known && text.length > 0) {
        yield { stream: frame.stream, data: text, cursor: `${position.second}:${position.seen}` };
      }
    }
  } finally {
    source.destroy();
  }
}

async function openLog(
  streams: Docker,
  name: string,
  start: LogPosition | null,
  signal: AbortSignal,
): Promise<Readable | null> {
  try {
    const options = { follow: true, stdout: true, stderr: true, timestamps: true, since: start?.second ?? 0 } as const;
    return (await streams.getContainer(name).logs({ ...options, abortSignal: signal })) as unknown as Readable;
  } catch (error) {
    if (engineStatus(error) === 404 || signal.aborted) {
      return null;
    }
    throw error;
  }
}

/** Each entry begins with an RFC 3339 time and a space, which the engine puts there because we ask for it. */
function splitTimestamp(entry: Buffer): { second: number; text: Buffer } {
  const space = entry.indexOf(0x20);
  const timeMs = space === -1 ? Number.NaN : Date.parse(entry.subarray(0, space).toString("latin1"));
  if (Number.isNaN(timeMs)) {
    throw new RangeError("the engine's log has an entry without a time");
  }
  return { second: Math.floor(timeMs / 1000), text: entry.subarray(space + 1) };
}

function parseCursor(cursor: string | null): LogPosition | null {
  const match = cursor === null ? null : /^(\d{1,12}):(\d{1,12})$/.exec(cursor);
  return match === null ? null : { second: Number(match[1]), seen: Number(match[2]) };
}

/**
 * Where a stream of output stands, as an event id: for each rank, how many chunks were sent and whether its exit was.
 * Output has no order over ranks that would survive a restart, so a position names one per rank.
 */
import { VolleyError } from "@volley/schema/errors";

export interface RankPosition {
  /** Chunks sent: the number of the next one. */
  next: number;
  exited: boolean;
}

export type Positions = Map<number, RankPosition>;

const POSITION_LENGTH_MAX = 4096;
const NEXT_MAX = 2 ** 31 - 1;

/** Seven bits a byte, the last one first; a rank that has sent little takes one byte. */
function writeVarint(bytes: number[], value: number): void {
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  bytes.push(rest);
}

export function encodePositions(source: string, positions: Positions): string {
  const bytes: number[] = [];
  for (const [, { next, exited }] of [...positions].sort(([one], [other]) => one - other)) {
    writeVarint(bytes, next * 2 + (exited ? 1 : 0));
  }
  return `${source}.${Buffer.from(bytes).toString("base64url")}`;
}

/**
 * @param ranks the ranks that the stream shows
 * @throws {VolleyError} `invalid_cursor` when the id isn't one of a stream over these ranks
 */
export function decodePositions(id: string, ranks: readonly number[]): { source: string; positions: Positions } {
  const [source = "", text = "", ...more] = id.split(".");
  if (id.length > POSITION_LENGTH_MAX || more.length > 0 || !/^[A-Za-z0-9_-]*$/.test(text)) throw invalidCursor();
  const values: number[] = [];
  let value = 0;
  let factor = 1;
  for (const byte of Buffer.from(text, "base64url")) {
    value += (byte & 127) * factor;
    factor *= 128;
    if (value > NEXT_MAX * 2 + 1) throw invalidCursor();
    if (byte >= 128) continue;
    values.push(value);
    value = 0;
    factor = 1;
  }
  if (factor !== 1 || values.length !== ranks.length) throw invalidCursor();
  const sorted = [...ranks].sort((one, other) => one - other);
  return {
    source,
    positions: new Map(
      sorted.map((rank, index) => {
        const packed = values[index] ?? 0;
        return [rank, { next: Math.floor(packed / 2), exited: packed % 2 === 1 }] as const;
      }),
    ),
  };
}

export function startPositions(ranks: readonly number[]): Positions {
  return new Map(ranks.map((rank) => [rank, { next: 0, exited: false }]));
}

export function invalidCursor(): VolleyError {
  return new VolleyError("invalid_cursor", "The event id was not issued by this stream.", {
    nextAction: "Resume with the id of the last event that was received, or leave it out to begin anew.",
  });
}

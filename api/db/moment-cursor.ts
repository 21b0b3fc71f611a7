/** Cursors of lists that begin with the newest row: the last row seen, by its moment and its id. */
import { VolleyError } from "@volley/schema/errors";
import { decodeCursor, encodeCursor } from "@volley/schema/pages";
import { type AnyColumn, type SQL, sql } from "drizzle-orm";

interface MomentPosition {
  readonly createdAtMs: number;
  readonly id: string;
}

export function momentCursor(createdAtMs: number, id: string): string {
  return encodeCursor({ key: String(createdAtMs), id });
}

/**
 * Null when there is no cursor.
 * @throws {VolleyError} `invalid_cursor`
 */
export function readMomentCursor(text: string | undefined): MomentPosition | null {
  if (text === undefined) return null;
  const position = decodeCursor(text);
  if (position === null || !/^[0-9]{1,15}$/.test(position.key)) {
    throw new VolleyError("invalid_cursor", "The cursor was not issued by this list.", {
      nextAction: "Pass the next_cursor of a page as it is, or leave it out to begin anew.",
    });
  }
  return { createdAtMs: Number(position.key), id: position.id };
}

/** The condition that a row comes after the position, newest first; none without a position. */
export function isAfter(createdAt: AnyColumn, id: AnyColumn, position: MomentPosition | null): SQL | undefined {
  if (position === null) return undefined;
  return sql`(${createdAt}, ${id}) < (${position.createdAtMs}::bigint, ${position.id})`;
}

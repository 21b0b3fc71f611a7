/** Keyset pages: a cursor names the last row seen, so a page never shifts when rows are added. */
import { z } from "zod";

export const PAGE_LIMIT_DEFAULT = 20;
export const PAGE_LIMIT_MAX = 100;
const CURSOR_LENGTH_MAX = 512;

/** The sort key of the last row and its id, which breaks ties. */
export interface Position {
  readonly key: string;
  readonly id: string;
}

export const pageFields = {
  limit: z.coerce.number().int().min(1).max(PAGE_LIMIT_MAX).default(PAGE_LIMIT_DEFAULT),
  cursor: z.string().max(CURSOR_LENGTH_MAX).optional().describe("next_cursor of the page before."),
};

export function pageOf<Item extends z.ZodType>(item: Item, id: string) {
  return z.object({ data: z.array(item), next_cursor: z.string().nullable() }).meta({ id });
}

export function encodeCursor(position: Position): string {
  const bytes = new TextEncoder().encode(JSON.stringify([position.key, position.id]));
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}

/** @returns the position, or null when the text was not made by {@link encodeCursor} */
export function decodeCursor(text: string): Position | null {
  if (text.length > CURSOR_LENGTH_MAX || !/^[A-Za-z0-9_-]+$/.test(text)) return null;
  try {
    const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
    const json = new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.from(binary, (c) => c.charCodeAt(0)));
    const value: unknown = JSON.parse(json);
    if (!Array.isArray(value) || value.length !== 2) return null;
    const [key, id] = value;
    // Postgres takes no NUL in a text.
    return typeof key === "string" && typeof id === "string" && !`${key}${id}`.includes("\0") ? { key, id } : null;
  } catch {
    return null;
  }
}

/** Moments on the wire are RFC 3339 in UTC with milliseconds; durations are whole seconds. */
import { z } from "zod";

export const timestampSchema = z.string().meta({ format: "date-time" });

export function toTimestamp(epochMs: number): string {
  return new Date(epochMs).toISOString();
}

/** The shortest rental: below it, start-up outweighs use. */
export const DURATION_SECONDS_MIN = 60;
/** The longest rental at one firm price: 30 days. */
export const DURATION_SECONDS_MAX = 30 * 24 * 3600;

import { VolleyError } from "@volley/schema/errors";
import { eq } from "drizzle-orm";
import type { Executor } from "../db/database.ts";
import { alarms } from "../db/tables.ts";

/** Money that came now would be stuck, or be another's; other rails go on. */
export function chainClosed(): VolleyError {
  return new VolleyError("unavailable", "Nothing can be paid on chain now: our token account is not to be used.", {
    nextAction: "Pay from an account's balance, or try again later.",
    retryAfterSeconds: 60,
  });
}

/** @throws {VolleyError} `unavailable` */
export async function requireChainOpen(executor: Executor): Promise<void> {
  const [closed] = await executor.select().from(alarms).where(eq(alarms.name, "treasury_account_unusable"));
  if (closed !== undefined) throw chainClosed();
}

import { VolleyError } from "@volley/schema/errors";
import { type Maker, newId, type Services } from "../context.ts";
import type { Executor } from "../db/database.ts";
import { screenings } from "../db/tables.ts";

type Needs = Maker & Pick<Services, "screening" | "logger">;

export interface ScreenedAddress {
  readonly address: string;
  /** What we would do with it. */
  readonly subject: "sign_in" | "refund_address" | "refund" | "payout" | "claim" | "inbound" | "x402";
  /** The object or request that it is about. */
  readonly reference: string;
}

/** Whether we may deal with the address; always where screening is off. Each decision is kept, once. */
export async function isAddressAllowed(ctx: Needs, executor: Executor, asked: ScreenedAddress): Promise<boolean> {
  const { screening, clock, logger } = ctx;
  if (screening === null) return true;
  const allowed = !screening.isListed(asked.address);
  await executor
    .insert(screenings)
    .values({
      id: newId(ctx, "screening"),
      ...asked,
      allowed,
      listDate: screening.listDate,
      createdAt: clock.nowMs(),
    })
    .onConflictDoNothing();
  if (!allowed) logger.warn("an address is on the sanctions list", { ...asked, list_date: screening.listDate });
  return allowed;
}

/** @throws {VolleyError} `address_refused` */
export async function requireAllowedAddress(ctx: Needs, executor: Executor, asked: ScreenedAddress): Promise<void> {
  if (await isAddressAllowed(ctx, executor, asked)) return;
  throw new VolleyError("address_refused", `We can't deal with the address ${asked.address}.`, {
    nextAction: "It is on a sanctions list. If you hold that to be a mistake, write to support.",
  });
}

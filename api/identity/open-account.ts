import { VolleyError } from "@volley/schema/errors";
import { and, eq, gt } from "drizzle-orm";
import type { Context } from "../context.ts";
import type { Executor } from "../db/database.ts";
import { customers, sessions } from "../db/tables.ts";

export type CustomerRow = typeof customers.$inferSelect;

export function sessionUnknown(): VolleyError {
  return new VolleyError("credential_invalid", "The credential is no session of an account, or it has ended.", {
    nextAction: "Sign in with auth.challenge and auth.session, and send the token from the answer.",
  });
}

export function accountFrozen(reason: string | null): VolleyError {
  return new VolleyError("account_frozen", `The account is frozen${reason ? `: ${reason}` : "."}`, {
    nextAction: "Clusters that run go on. Write to support to have it looked at.",
  });
}

/**
 * The account that has signed in.
 * @throws {VolleyError} `unauthenticated`, `credential_invalid`
 */
export async function openAccount(ctx: Context): Promise<CustomerRow> {
  if (ctx.actor.kind !== "bearer") {
    throw new VolleyError("unauthenticated", "This needs an account.", {
      nextAction: "Sign in with auth.challenge and auth.session, and send the token as `Authorization: Bearer …`.",
    });
  }
  const customer = await customerOfSession(ctx, ctx.actor.tokenHash);
  if (customer === null) throw sessionUnknown();
  return customer;
}

/** The account whose session has this token; null when there is none, or it has ended. */
export async function customerOfSession(ctx: Context, tokenHash: string): Promise<CustomerRow | null> {
  const [found] = await ctx.db
    .select({ customer: customers })
    .from(sessions)
    .innerJoin(customers, eq(customers.id, sessions.customerId))
    .where(and(eq(sessions.tokenHash, tokenHash), gt(sessions.expiresAt, ctx.clock.nowMs())));
  return found?.customer ?? null;
}

/** To be asked in the transaction that spends. @throws {VolleyError} `account_frozen` */
export async function requireUnfrozen(tx: Executor, customerId: string): Promise<void> {
  const [customer] = await tx.select().from(customers).where(eq(customers.id, customerId));
  if (customer === undefined) throw new Error(`there is no account ${customerId}`);
  if (customer.frozenAt !== null) throw accountFrozen(customer.frozenReason);
}

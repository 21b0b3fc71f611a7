import type { InputOf, Operations, OutputOf } from "@volley/schema";
import { eq } from "drizzle-orm";
import type { Context } from "../context.ts";
import { sessions } from "../db/tables.ts";
import { openAccount } from "./open-account.ts";
import { toAccountResource } from "./to-account-resource.ts";

type End = Operations["auth.end"];

/** @throws {VolleyError} `unauthenticated`, `credential_invalid` */
export async function endSession(ctx: Context, _input: InputOf<End>): Promise<OutputOf<End>> {
  const customer = await openAccount(ctx);
  if (ctx.actor.kind === "bearer") await ctx.db.delete(sessions).where(eq(sessions.tokenHash, ctx.actor.tokenHash));
  return toAccountResource(customer);
}

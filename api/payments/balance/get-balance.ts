import { type InputOf, type Operations, type OutputOf, parseId, toMoney } from "@volley/schema";
import { sql } from "drizzle-orm";
import type { Context } from "../../context.ts";
import { rows } from "../../db/database.ts";
import { openAccount } from "../../identity/open-account.ts";
import { customerAccount, disputeAccount } from "../../ledger/accounts.ts";

type Get = Operations["balance.get"];

type Sums = {
  readonly posted: string;
  readonly held: string;
  readonly maturing: string;
  readonly disputed: string;
};

/** @throws {VolleyError} `unauthenticated`, `credential_invalid` */
export async function getBalance(ctx: Context, _input: InputOf<Get>): Promise<OutputOf<Get>> {
  const { id } = await openAccount(ctx);
  // One statement, so that money that moves meanwhile is in one of the sums.
  const [sums] = await rows<Sums>(
    ctx.db,
    sql`SELECT coalesce(max(credits_posted - debits_posted) FILTER (WHERE id = ${customerAccount(id)}), 0)::text AS posted,
               coalesce(max(debits_pending) FILTER (WHERE id = ${customerAccount(id)}), 0)::text AS held,
               coalesce(sum(credits_posted - debits_posted) FILTER (WHERE id LIKE ${customerAccount("pay\\_%")}), 0)::text
                 AS maturing,
               coalesce(max(credits_posted - debits_posted) FILTER (WHERE id = ${disputeAccount(id)}), 0)::text AS disputed
        FROM accounts
        WHERE id IN (${customerAccount(id)}, ${disputeAccount(id)})
          OR id IN (SELECT 'customer:' || payments.id FROM payments
                    WHERE payments.customer_id = ${id} AND payments.purpose = 'topup')`,
  );
  const posted = BigInt(sums?.posted ?? 0);
  const held = BigInt(sums?.held ?? 0);
  return {
    object: "balance",
    account_id: parseId("account", id),
    available: toMoney(posted - held),
    held: toMoney(held),
    maturing: toMoney(BigInt(sums?.maturing ?? 0)),
    disputed: toMoney(BigInt(sums?.disputed ?? 0)),
  };
}

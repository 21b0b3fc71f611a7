import {
  type InputOf,
  type Operations,
  type OutputOf,
  parseId,
  type Transfer,
  toMoney,
  toTimestamp,
} from "@volley/schema";
import { sql } from "drizzle-orm";
import type { Context } from "../../context.ts";
import { rows } from "../../db/database.ts";
import { momentCursor, readMomentCursor } from "../../db/moment-cursor.ts";
import { openAccount } from "../../identity/open-account.ts";
import { customerAccount } from "../../ledger/accounts.ts";

type List = Operations["transfers.list"];

type Row = {
  readonly id: string;
  readonly kind: Transfer["kind"];
  readonly direction: Transfer["direction"];
  readonly amount: string;
  readonly reason: string;
  readonly reference: string;
  readonly pending_id: string | null;
  readonly created_at: string;
};

/**
 * Every row of the ledger that touches the account's balance, newest first.
 * @throws {VolleyError} `unauthenticated`, `credential_invalid`, `invalid_cursor`
 */
export async function listTransfers(ctx: Context, input: InputOf<List>): Promise<OutputOf<List>> {
  const after = readMomentCursor(input.cursor);
  const account = customerAccount((await openAccount(ctx)).id);
  // Ids sort by creation time. The pattern names the indexes that hold the accounts that somebody can list.
  const side = (column: "debit_account" | "credit_account", direction: Transfer["direction"]) => sql`
    SELECT id, kind, ${direction}::text AS direction, amount_micro_usdc::text AS amount, reason, reference, pending_id,
           created_at::text AS created_at
    FROM transfers
    WHERE ${sql.identifier(column)} = ${account} AND ${sql.identifier(column)} LIKE 'customer:acct%'
      ${after === null ? sql`` : sql`AND id < ${after.id}`}
    ORDER BY id DESC LIMIT ${input.limit + 1}`;
  const found = await rows<Row>(
    ctx.db,
    sql`SELECT * FROM ((${side("debit_account", "out")}) UNION ALL (${side("credit_account", "in")})) AS both_sides
        ORDER BY id DESC LIMIT ${input.limit + 1}`,
  );
  const page = found.slice(0, input.limit);
  const last = page.at(-1);
  return {
    data: page.map(toTransferResource),
    next_cursor:
      found.length > page.length && last !== undefined ? momentCursor(Number(last.created_at), last.id) : null,
  };
}

/** The cursor after which the page that begins with the next transfer is asked for. */
export function transferCursor(transfer: Transfer): string {
  return momentCursor(Date.parse(transfer.created_at), transfer.id);
}

function toTransferResource(row: Row): Transfer {
  return {
    id: parseId("transfer", row.id),
    object: "transfer",
    kind: row.kind,
    direction: row.direction,
    amount: toMoney(BigInt(row.amount)),
    reason: row.reason,
    reference: row.reference,
    pending_id: row.pending_id,
    created_at: toTimestamp(Number(row.created_at)),
  };
}

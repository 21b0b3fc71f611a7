import type { Context } from "../context.ts";
import type { Transaction } from "../db/database.ts";
import { customerAccount, escrowAccount, openAccount, REVENUE_ACCOUNT, supplierAccount } from "./accounts.ts";
import { balanceOf } from "./balance-of.ts";
import { LedgerError } from "./errors.ts";
import { openHoldsOf } from "./holds-of.ts";
import { post } from "./post.ts";
import { resolve } from "./resolve.ts";
import { smaller } from "./smaller.ts";

export interface SettleBillInput {
  readonly clusterId: string;
  /** All that the renter pays: the suppliers' shares and the platform's fee. */
  readonly chargedMicroUsdc: bigint;
  readonly supplierShares: readonly { readonly supplierId: string; readonly amountMicroUsdc: bigint }[];
  readonly platformFeeMicroUsdc: bigint;
}

export interface SettledBill {
  /** What the cluster's account has left and isn't bound. */
  readonly restMicroUsdc: bigint;
}

/**
 * A cluster's end, once: posts the bill from its funded holds, oldest first, frees the rest of them and voids those
 * that were never funded; then hands the money on from escrow, which ends at zero. The caller holds the cluster's row.
 * @throws {LedgerError} `bill_exceeds_holds`, `bill_not_balanced`
 */
export async function settleBill(ctx: Context, tx: Transaction, input: SettleBillInput): Promise<SettledBill> {
  const { clusterId, chargedMicroUsdc } = input;
  const shares = sharesBySupplier(input);
  const handedOn = [...shares.values()].reduce((sum, amount) => sum + amount, input.platformFeeMicroUsdc);
  if (handedOn !== chargedMicroUsdc || input.platformFeeMicroUsdc < 0n) {
    throw new LedgerError("bill_not_balanced", clusterId);
  }

  let owed = chargedMicroUsdc;
  for (const open of await openHoldsOf(tx, clusterId)) {
    const amount = open.funded ? smaller(owed, open.amountMicroUsdc) : 0n;
    await resolve(ctx, tx, open.id, amount);
    owed -= amount;
  }
  if (owed > 0n) throw new LedgerError("bill_exceeds_holds", clusterId);

  const escrow = escrowAccount(clusterId);
  const cause = { debit: escrow, reason: "bill", reference: clusterId };
  for (const [supplierId, amountMicroUsdc] of shares) {
    const credit = supplierAccount(supplierId);
    await openAccount(ctx, tx, credit, "supplier");
    await post(ctx, tx, { ...cause, credit, amountMicroUsdc });
  }
  if (input.platformFeeMicroUsdc > 0n) {
    await openAccount(ctx, tx, REVENUE_ACCOUNT, "revenue");
    await post(ctx, tx, { ...cause, credit: REVENUE_ACCOUNT, amountMicroUsdc: input.platformFeeMicroUsdc });
  }
  if ((await balanceOf(tx, escrow)).postedMicroUsdc !== 0n) throw new LedgerError("bill_not_balanced", escrow);
  return { restMicroUsdc: (await balanceOf(tx, customerAccount(clusterId))).availableMicroUsdc };
}

/** One amount per supplier, in id order, so that two clusters' bills lock the suppliers' accounts in one order. */
function sharesBySupplier(input: SettleBillInput): Map<string, bigint> {
  const sums = new Map<string, bigint>();
  for (const { supplierId, amountMicroUsdc } of input.supplierShares) {
    if (amountMicroUsdc < 0n) throw new LedgerError("bill_not_balanced", input.clusterId);
    if (amountMicroUsdc > 0n) sums.set(supplierId, (sums.get(supplierId) ?? 0n) + amountMicroUsdc);
  }
  return new Map([...sums].sort(([one], [two]) => (one < two ? -1 : 1)));
}

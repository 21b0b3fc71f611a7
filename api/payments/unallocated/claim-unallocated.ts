import { type InputOf, type Operations, type OutputOf, VolleyError } from "@volley/schema";
import { and, eq, isNull, ne } from "drizzle-orm";
import type { Context } from "../../context.ts";
import { inboundTransfers } from "../../db/tables.ts";
import { runIdempotent } from "../../idempotency/run-idempotent.ts";
import { openAccount, requireUnfrozen } from "../../identity/open-account.ts";
import { requireAllowedAddress } from "../../identity/screen-address.ts";
import { customerAccount, openAccount as openLedgerAccount, UNALLOCATED_ACCOUNT } from "../../ledger/accounts.ts";
import { post } from "../../ledger/post.ts";
import { inboundReference } from "../inbound/inbound-reference.ts";
import { toUnallocatedResource } from "./to-unallocated-resource.ts";

type Claim = Operations["unallocated.claim"];

/**
 * Takes a transfer that named no payment into the balance. Only the wallet that sent it can, which is the one that
 * signed in, and only when the transfer is final: what a fork takes back must not have been spent. The row's lock and
 * its `claimed_by` make that happen once.
 * @throws {VolleyError} `unauthenticated`, `credential_invalid`, `not_found`, `already_claimed`, `account_frozen`,
 * `unavailable` until it is final, `idempotency_*`
 */
export async function claimUnallocated(ctx: Context, input: InputOf<Claim>): Promise<OutputOf<Claim>> {
  const { id: customerId, wallet } = await openAccount(ctx);
  // The list may be newer than the sign-in.
  const screened = { address: wallet, subject: "claim", reference: `${input.signature}:${input.index}` } as const;
  await requireAllowedAddress(ctx, ctx.db, screened);
  return await runIdempotent(ctx, { operation: "unallocated.claim", input }, async (tx) => {
    await requireUnfrozen(tx, customerId);
    const isIt = and(
      eq(inboundTransfers.signature, input.signature),
      eq(inboundTransfers.transferIndex, input.index),
      eq(inboundTransfers.sourceOwner, wallet),
      isNull(inboundTransfers.paymentId),
      ne(inboundTransfers.finality, "dropped"),
    );
    const [transfer] = await tx.select().from(inboundTransfers).where(isIt).for("update");
    if (transfer === undefined) {
      throw new VolleyError("not_found", "No such transfer came from this wallet, or it was for a payment.", {
        nextAction: "Take signature and index from unallocated.list, signed in with the wallet that sent the USDC.",
      });
    }
    if (transfer.claimedBy !== null) {
      throw new VolleyError("already_claimed", "This transfer is in the balance already.", {
        nextAction: "See transfers.list.",
      });
    }
    if (transfer.finality !== "finalized") {
      throw new VolleyError("unavailable", "This transfer isn't final on chain yet.", {
        nextAction: "Try again in half a minute.",
        retryAfterSeconds: 15,
      });
    }
    const [claimed] = await tx.update(inboundTransfers).set({ claimedBy: customerId }).where(isIt).returning();
    if (claimed === undefined) throw new Error("a locked transfer was not updated");
    await openLedgerAccount(ctx, tx, customerAccount(customerId), "customer");
    await post(ctx, tx, {
      debit: UNALLOCATED_ACCOUNT,
      credit: customerAccount(customerId),
      amountMicroUsdc: transfer.amountMicroUsdc,
      reason: "claim",
      reference: await inboundReference(tx, input.signature, input.index),
    });
    return toUnallocatedResource(claimed);
  });
}

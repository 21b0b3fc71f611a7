import type { InboundTransfer, VerifiedTransaction } from "./verify-transaction.ts";

export interface AttributedTransfer extends InboundTransfer {
  /** The payment's reference that it counts for; null: unallocated. */
  readonly reference: string | null;
}

export interface Attribution {
  readonly transfers: readonly AttributedTransfer[];
  /** References that a transfer names, but that it doesn't count for, because another one comes first. */
  readonly passedOver: readonly string[];
}

/**
 * Which payment each transfer is for. A transfer counts once: for the first of our references on its own
 * instruction. Where wallets put the reference elsewhere in the transaction, it counts only if there is nothing to
 * choose: one transfer and one of our references.
 *
 * @param ours which of the transaction's keys are references of payments of ours
 * @param known the reference of the payment that the transaction as a whole is known to be for
 */
export function attributeTransfers(
  verified: VerifiedTransaction,
  ours: ReadonlySet<string>,
  known: string | null = null,
): Attribution {
  const named = new Set(verified.accountKeys.filter((key) => ours.has(key)));
  const [only] = named;
  const unambiguous = verified.transfers.length === 1 && named.size === 1 ? (only ?? null) : null;
  const transfers = verified.transfers.map((transfer) => ({
    ...transfer,
    reference: transfer.referenceKeys.find((key) => ours.has(key)) ?? known ?? unambiguous,
  }));
  const counted = new Set(transfers.map((transfer) => transfer.reference));
  const passedOver = new Set(
    verified.transfers
      .flatMap((transfer) => transfer.referenceKeys)
      .filter((key) => ours.has(key) && !counted.has(key)),
  );
  return { transfers, passedOver: [...passedOver] };
}

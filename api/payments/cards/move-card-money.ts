import { CARD_ACCOUNT, customerAccount, disputeAccount, LOSS_ACCOUNT } from "../../ledger/accounts.ts";
import type { Posting } from "../../ledger/post.ts";
import { smaller } from "../../ledger/smaller.ts";

/** Where the money of one card payment is; what is in none of these is, or was, balance. */
export interface CardPositions {
  /** In a ledger account of the payment's own, where nobody can spend it. */
  readonly maturing: bigint;
  /** In the account's `dispute:`. */
  readonly contested: bigint;
  /** Back at the processor. */
  readonly reversed: bigint;
  /** What of contested and reversed money the platform has put in, because the account had it no more. */
  readonly loss: bigint;
}

export interface CardMoneyInput {
  readonly paymentId: string;
  readonly customerId: string;
  readonly amount: bigint;
  /** Null before it was credited. */
  readonly positions: CardPositions | null;
  /** What the processor says has gone back for good, and what is disputed. */
  readonly gone: bigint;
  readonly disputed: bigint;
  /** What of the account's balance is not bound. */
  readonly available: bigint;
  /** Whether the account may spend it by now. */
  readonly mature: boolean;
}

export type CardMove = Pick<Posting, "debit" | "credit" | "amountMicroUsdc" | "reason">;

/**
 * From where a paid card payment's money is to where it belongs, given what the processor says now. Entries are never
 * changed: whatever was taken back or given back is a transfer of its own. What is taken comes first from what this
 * payment has maturing, then from the balance, and what is missing is the platform's loss until the balance has it.
 * All of it passes through the account's `dispute:`, so no pair of accounts is used twice.
 */
export function moveCardMoney(input: CardMoneyInput): { moves: CardMove[]; positions: CardPositions } {
  const { paymentId, customerId, amount, mature } = input;
  const balance = customerAccount(customerId);
  const own = customerAccount(paymentId);
  const dispute = disputeAccount(customerId);
  const moves: CardMove[] = [];
  const move = (debit: string, credit: string, amountMicroUsdc: bigint, reason: string) => {
    if (amountMicroUsdc > 0n) moves.push({ debit, credit, amountMicroUsdc, reason });
  };

  let { available } = input;
  let { maturing, contested, reversed, loss } = input.positions ?? {
    maturing: 0n,
    contested: 0n,
    reversed: 0n,
    loss: 0n,
  };
  if (input.positions === null) {
    move(CARD_ACCOUNT, own, amount, "card_paid");
    maturing = amount;
  }
  const toReverse = smaller(input.gone, amount);
  const toContest = smaller(input.disputed, amount - toReverse);

  if (reversed > toReverse) {
    // A refund that failed comes back to us.
    move(CARD_ACCOUNT, dispute, reversed - toReverse, "card_returned");
    contested += reversed - toReverse;
    reversed = toReverse;
  }
  const missing = toContest + (toReverse - reversed) - contested;
  if (missing > 0n) {
    const fromMaturing = smaller(missing, maturing);
    const fromBalance = smaller(missing - fromMaturing, available);
    const fromUs = missing - fromMaturing - fromBalance;
    move(own, dispute, fromMaturing, "card_taken_back");
    move(balance, dispute, fromBalance, "card_taken_back");
    move(LOSS_ACCOUNT, dispute, fromUs, "card_taken_back");
    maturing -= fromMaturing;
    available -= fromBalance;
    loss += fromUs;
    contested += missing;
  } else if (missing < 0n) {
    const toUs = smaller(-missing, loss);
    const toAccount = -missing - toUs;
    move(dispute, LOSS_ACCOUNT, toUs, "card_given_back");
    move(dispute, mature ? balance : own, toAccount, "card_given_back");
    if (mature) available += toAccount;
    else maturing += toAccount;
    loss -= toUs;
    contested += missing;
  }
  if (toReverse > reversed) {
    move(dispute, CARD_ACCOUNT, toReverse - reversed, "card_reversed");
    contested -= toReverse - reversed;
    reversed = toReverse;
  }
  if (mature && maturing > 0n) {
    move(own, balance, maturing, "card_matured");
    available += maturing;
    maturing = 0n;
  }
  const repaid = smaller(loss, available);
  move(balance, LOSS_ACCOUNT, repaid, "card_debt");
  return { moves, positions: { maturing, contested, reversed, loss: loss - repaid } };
}

/**
 * What a transaction on chain really did to our token account. Decides from effects: the change of the account's
 * balance is the base, instructions only say how much of it came from where and for which payment.
 * Rules: reliability of payments on Solana, "exact outcome" of the x402 SVM scheme, and our own table of failures
 * (docs/adr/0008-payments-by-effect.md).
 */
import { SYSTEM_PROGRAM_ADDRESS } from "@solana-program/system";
import { TOKEN_PROGRAM_ADDRESS } from "@solana-program/token";
import type { ChainTransaction, TokenBalance } from "../../ports/chain.ts";
import { readTokenMovements, type TokenMovement } from "./token-instruction.ts";

export interface TreasuryAccount {
  /** The wallet that payments are addressed to. */
  readonly owner: string;
  readonly mint: string;
  /** Its associated token account of the classic Token program. */
  readonly tokenAccount: string;
}

export interface InboundTransfer {
  /** Number of the transfer into our account within the transaction, in order of execution. */
  readonly index: number;
  readonly amountMicroUsdc: bigint;
  /** Owner of the account that it came from, when the transaction tells. */
  readonly sourceOwner: string | null;
  /** Keys that the transfer's own instruction names beyond those it needs: where wallets put references. */
  readonly referenceKeys: readonly string[];
}

/** Value that reached the treasury's wallet without being our USDC in our account. Never credited. */
export interface LookAlike {
  readonly kind: "other_mint" | "token_2022" | "other_account" | "sol";
  /** Empty for SOL. */
  readonly mint: string;
}

export interface VerifiedTransaction {
  readonly signature: string;
  readonly slot: bigint;
  readonly blockTimeSeconds: number | null;
  readonly failed: boolean;
  readonly transfers: readonly InboundTransfer[];
  readonly lookAlikes: readonly LookAlike[];
  /** All keys of the transaction, those from lookup tables included. */
  readonly accountKeys: readonly string[];
}

export function verifyTransaction(transaction: ChainTransaction, treasury: TreasuryAccount): VerifiedTransaction {
  const { signature, slot, blockTimeSeconds, failed, accountKeys } = transaction;
  const facts = { signature, slot, blockTimeSeconds, failed, accountKeys };
  if (failed) return { ...facts, transfers: [], lookAlikes: [] };
  return {
    ...facts,
    transfers: inboundTransfers(transaction, treasury),
    lookAlikes: lookAlikes(transaction, treasury),
  };
}

function inboundTransfers(transaction: ChainTransaction, treasury: TreasuryAccount): InboundTransfer[] {
  const change = changeOf(transaction, treasury);
  const movements = transaction.instructions
    .flatMap(readTokenMovements)
    .filter((movement) => movement.source !== movement.destination && movement.amount > 0n);
  const inward = movements.filter((movement) => movement.destination === treasury.tokenAccount);
  const outward = sum(movements.filter((movement) => movement.source === treasury.tokenAccount));
  const unexplained = change + outward - sum(inward);

  // The instructions claim more than the account gained: only the gain is sure, and nobody's in particular.
  if (unexplained < 0n) return change > 0n ? [transferOf(0, change, null, [])] : [];
  const transfers = inward.map((movement, index) =>
    transferOf(index, movement.amount, ownerOf(transaction, movement), movement.furtherAccounts),
  );
  // Gained by an instruction that we can't read: it counts, but only the transaction as a whole says for what.
  if (unexplained > 0n) transfers.push(transferOf(transfers.length, unexplained, null, []));
  return transfers;
}

const transferOf = (
  index: number,
  amountMicroUsdc: bigint,
  sourceOwner: string | null,
  referenceKeys: readonly string[],
): InboundTransfer => ({ index, amountMicroUsdc, sourceOwner, referenceKeys });

const sum = (movements: readonly TokenMovement[]) => movements.reduce((total, { amount }) => total + amount, 0n);

/** How much more our token account holds after the transaction than before. */
function changeOf(transaction: ChainTransaction, treasury: TreasuryAccount): bigint {
  // An account that was made in this transaction has no balance before it.
  const held = (balances: readonly TokenBalance[]) =>
    balances.find(
      (balance) =>
        transaction.accountKeys[balance.accountIndex] === treasury.tokenAccount &&
        balance.mint === treasury.mint &&
        isClassicToken(balance),
    )?.amount ?? 0n;
  return held(transaction.postTokenBalances) - held(transaction.preTokenBalances);
}

/** Nodes of before 2022 name no program; there was only one. */
const isClassicToken = (balance: TokenBalance) =>
  balance.programId === null || balance.programId === TOKEN_PROGRAM_ADDRESS;

function ownerOf(transaction: ChainTransaction, movement: TokenMovement): string | null {
  if (movement.source === null) return null;
  const index = transaction.accountKeys.indexOf(movement.source);
  const balances = [...transaction.preTokenBalances, ...transaction.postTokenBalances];
  return balances.find((balance) => balance.accountIndex === index)?.owner ?? null;
}

function lookAlikes(transaction: ChainTransaction, treasury: TreasuryAccount): LookAlike[] {
  const found: LookAlike[] = [];
  for (const after of transaction.postTokenBalances) {
    const address = transaction.accountKeys[after.accountIndex];
    if (after.owner !== treasury.owner || address === treasury.tokenAccount) continue;
    const before = transaction.preTokenBalances.find((balance) => balance.accountIndex === after.accountIndex);
    if (after.amount <= (before?.amount ?? 0n)) continue;
    found.push({ kind: kindOf(after, treasury), mint: after.mint });
  }
  if (transaction.instructions.some((instruction) => paysSol(instruction, treasury.owner))) {
    found.push({ kind: "sol", mint: "" });
  }
  return found;
}

function kindOf(balance: TokenBalance, treasury: TreasuryAccount): LookAlike["kind"] {
  if (!isClassicToken(balance)) return "token_2022";
  return balance.mint === treasury.mint ? "other_account" : "other_mint";
}

const SYSTEM_TRANSFER = [2, 0, 0, 0];

function paysSol({ programId, accounts, data }: ChainTransaction["instructions"][number], wallet: string): boolean {
  return (
    programId === SYSTEM_PROGRAM_ADDRESS &&
    accounts[0] !== wallet &&
    accounts[1] === wallet &&
    data.length === 12 &&
    SYSTEM_TRANSFER.every((byte, index) => data[index] === byte) &&
    data.subarray(4).some((byte) => byte !== 0)
  );
}

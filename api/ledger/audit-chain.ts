/** What must be true between the ledger and the chain. */
import { formatUsdc } from "@volley/schema/money";
import { inArray } from "drizzle-orm";
import { inboundTransfers } from "../db/tables.ts";
import { type BooksAndChain, compareBalance } from "../payments/inbound/compare-balance.ts";
import { listSignatures } from "../payments/inbound/list-signatures.ts";
import { treasuryAccount } from "../payments/inbound/treasury-account.ts";
import { verifyTransaction } from "../payments/inbound/verify-transaction.ts";
import type { SignatureInfo } from "../ports/chain.ts";
import type { Clock } from "../ports/clock.ts";
import type { AuditResult } from "./audit-result.ts";

/** Of 1,000 transactions each, the newest. */
const PAGES_MAX = 10;
const FETCHED_AT_ONCE = 8;
/** What is on its way is seen by both sides within this time. */
const TRIES = 20;
const PAUSE_MS = 500;
const SHOWN_MAX = 10;

export interface ChainAuditContext extends BooksAndChain {
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export async function auditChain(ctx: ChainAuditContext): Promise<AuditResult[]> {
  return [
    await untilHolds(ctx, () => auditBalance(ctx, "finalized")),
    await untilHolds(ctx, () => auditBalance(ctx, "confirmed")),
    await untilHolds(ctx, () => auditHistory(ctx)),
  ];
}

/** A running system takes a moment to write down what has just landed; only what stays is a fault. */
async function untilHolds(ctx: ChainAuditContext, check: () => Promise<AuditResult>): Promise<AuditResult> {
  for (let tried = 1; ; tried++) {
    const result = await check();
    if (result.holds || tried >= TRIES) return result;
    await ctx.clock.sleep(PAUSE_MS, ctx.signal);
  }
}

async function auditBalance(ctx: ChainAuditContext, commitment: "confirmed" | "finalized"): Promise<AuditResult> {
  const compared = await compareBalance(ctx, commitment);
  return {
    name: `I4 the treasury's account holds what the ledger says (${commitment})`,
    holds: compared.differenceMicroUsdc === 0n,
    detail:
      `chain ${formatUsdc(compared.chainMicroUsdc)}, ledger ${formatUsdc(compared.ledgerMicroUsdc)}, ` +
      `in flight: ${formatUsdc(compared.notYetOnChainMicroUsdc)} not yet on chain, ` +
      `${formatUsdc(compared.refundsLandedMicroUsdc)} refunds not yet in the ledger; ` +
      `difference ${formatUsdc(compared.differenceMicroUsdc)}`,
  };
}

async function auditHistory(ctx: ChainAuditContext): Promise<AuditResult> {
  const { tokenAccount } = await treasuryAccount(ctx.settings);
  const listed = await listSignatures(ctx.chain, tokenAccount, { pagesMax: PAGES_MAX, commitment: "finalized" });
  const succeeded = listed.entries.filter((entry) => !entry.failed);
  const faults: string[] = [];
  for (let start = 0; start < succeeded.length; start += FETCHED_AT_ONCE) {
    const batch = succeeded.slice(start, start + FETCHED_AT_ONCE);
    for (const found of await Promise.all(batch.map((entry) => compareTransaction(ctx, entry)))) faults.push(...found);
  }
  const extent = listed.complete ? "all" : "the newest";
  return {
    name: "I5 every inbound transfer on chain is one row",
    holds: faults.length === 0,
    detail:
      faults.length === 0
        ? `${extent} ${listed.entries.length} transactions of the account were compared`
        : `${faults.length} break it: ${faults.slice(0, SHOWN_MAX).join("; ")}`,
  };
}

async function compareTransaction(ctx: ChainAuditContext, { signature }: SignatureInfo): Promise<string[]> {
  const transaction = await ctx.chain.transaction(signature, "finalized");
  if (transaction === null) return [`${signature}: listed, but the node doesn't show it`];
  const { transfers } = verifyTransaction(transaction, await treasuryAccount(ctx.settings));
  const kept = await ctx.db
    .select()
    .from(inboundTransfers)
    .where(inArray(inboundTransfers.signature, [signature]));
  const onChain = new Map(transfers.map((transfer) => [transfer.index, transfer.amountMicroUsdc]));
  const inBooks = new Map(
    kept.filter((row) => row.finality !== "dropped").map((row) => [row.transferIndex, row.amountMicroUsdc]),
  );
  return [...new Set([...onChain.keys(), ...inBooks.keys()])]
    .filter((index) => onChain.get(index) !== inBooks.get(index))
    .map((index) => `${signature}:${index}: chain ${onChain.get(index) ?? 0n}, row ${inBooks.get(index) ?? 0n}`);
}

/** What the ledger refuses, as its SQL functions raise it (`api/db/functions/ledger.sql`). */
import { sqlState } from "../db/database.ts";

const BY_SQL_STATE = {
  VL001: "hold_not_found",
  VL002: "hold_already_posted",
  VL003: "amount_exceeds_hold",
  VL004: "hold_not_funded",
  VL005: "hold_already_voided",
  VL006: "hold_expired",
} as const;

export type LedgerErrorCode =
  | (typeof BY_SQL_STATE)[keyof typeof BY_SQL_STATE]
  | "hold_already_funded"
  | "hold_already_resolved"
  | "insufficient_funds"
  | "bill_exceeds_holds"
  | "bill_not_balanced";

const MESSAGES: Record<LedgerErrorCode, string> = {
  hold_not_found: "there is no such hold",
  hold_already_posted: "the hold was posted before",
  hold_already_voided: "the hold was voided before",
  hold_expired: "the hold's money didn't come in its time",
  hold_already_resolved: "the hold was posted or voided at the same moment",
  amount_exceeds_hold: "more than the hold's amount can't be posted",
  hold_not_funded: "a hold without money can't be posted",
  hold_already_funded: "the hold has its money already",
  insufficient_funds: "the account would fall below zero",
  bill_exceeds_holds: "the bill is higher than what the cluster's holds bind",
  bill_not_balanced: "the shares and the fee don't add up to the bill",
};

/** The whole transaction must be rolled back: Postgres refuses every further statement in it. */
export class LedgerError extends Error {
  override readonly name = "LedgerError";
  readonly code: LedgerErrorCode;

  constructor(code: LedgerErrorCode, detail: string | null, cause?: unknown) {
    super(`${MESSAGES[code]}${detail === null ? "" : ` (${detail})`}`, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

function codeOf(error: unknown): { code: LedgerErrorCode; detail: string | null } | null {
  const state = sqlState(error);
  if (state === null) return null;
  if (state.code in BY_SQL_STATE) {
    return { code: BY_SQL_STATE[state.code as keyof typeof BY_SQL_STATE], detail: state.detail };
  }
  if (state.constraint === "accounts_not_negative") return { code: "insufficient_funds", detail: null };
  if (state.constraint === "transfers_funded_once") return { code: "hold_already_funded", detail: null };
  if (state.constraint === "transfers_resolved_once") return { code: "hold_already_resolved", detail: null };
  return null;
}

/** Runs a ledger statement; its refusals become `LedgerError`s, everything else passes. */
export async function ledgerCall<Result>(statement: Promise<Result>): Promise<Result> {
  try {
    return await statement;
  } catch (error) {
    const known = codeOf(error);
    if (known === null) throw error;
    throw new LedgerError(known.code, known.detail, error);
  }
}

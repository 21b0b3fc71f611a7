/** Looks from outside: the audit as an operator runs it, and balances as the chain tells them. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { LocalFile } from "../harness/local-server.ts";

const AUDIT_TIMEOUT_MS = 60_000;
const RPC_TIMEOUT_MS = 10_000;

export interface AuditResult {
  readonly name: string;
  readonly holds: boolean;
}

/** @throws when the audit can't run; a rule that does not hold is in the answer */
export async function runAudit(folder: string): Promise<AuditResult[]> {
  const run = promisify(execFile);
  const { stdout } = await run(process.execPath, ["api/entry/audit.ts", "--data-dir", folder], {
    cwd: new URL("../..", import.meta.url),
    timeout: AUDIT_TIMEOUT_MS,
  }).catch((error: unknown) => {
    // A failing audit exits non-zero and still prints its results.
    if (error instanceof Error && "stdout" in error && typeof error.stdout === "string" && error.stdout !== "") {
      return { stdout: error.stdout };
    }
    throw error;
  });
  const report: { results: AuditResult[] } = JSON.parse(stdout);
  return report.results;
}

/** Micro-USDC in a wallet at `confirmed`. */
export async function usdcOf(local: LocalFile, owner: string): Promise<bigint> {
  const answer = await fetch(local.rpc_url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    signal: AbortSignal.timeout(RPC_TIMEOUT_MS),
    body: JSON.stringify({
      jsonrpc: "2.0",
      id: 1,
      method: "getTokenAccountsByOwner",
      params: [owner, { mint: local.usdc_mint }, { encoding: "jsonParsed", commitment: "confirmed" }],
    }),
  });
  const { result } = (await answer.json()) as {
    result: { value: { account: { data: { parsed: { info: { tokenAmount: { amount: string } } } } } }[] };
  };
  return result.value.reduce((sum, { account }) => sum + BigInt(account.data.parsed.info.tokenAmount.amount), 0n);
}

import { type SQL, sql } from "drizzle-orm";
import { type Executor, rows } from "../db/database.ts";

export interface AuditResult {
  /** The rule, in words. */
  readonly name: string;
  readonly holds: boolean;
  /** What was looked at, or what breaks the rule. */
  readonly detail: string;
}

const SHOWN_MAX = 10;

/** @param offenders a query with one column `what`, a row for each thing that breaks the rule */
export async function checkNone(executor: Executor, name: string, offenders: SQL): Promise<AuditResult> {
  const found = await rows<{ what: string; total: number }>(
    executor,
    sql`SELECT what, (count(*) OVER ())::int AS total FROM (${offenders}) AS offenders (what) LIMIT ${SHOWN_MAX}`,
  );
  const [first] = found;
  if (first === undefined) return { name, holds: true, detail: "none breaks it" };
  return { name, holds: false, detail: `${first.total} break it: ${found.map((row) => row.what).join("; ")}` };
}

/**
 * The ledger's transfers, one in a transaction and fifty, against pgbench's TPC-B-like script on the same server, in
 * turns, durable; and how long a recount of a million entries takes.
 */
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import postgres from "postgres";
import { openDatabase } from "../../api/db/database.ts";
import { migrateDatabase } from "../../api/db/migrate.ts";
import { auditLedger } from "../../api/ledger/audit-ledger.ts";
import { startEmbeddedPostgres } from "../../api/local/postgres.ts";
import { type BenchRow, median, spread } from "./row.ts";

const run = promisify(execFile);
const ROUNDS = 5;
const ROUND_SECONDS = 4;
const CLIENTS = 8;
/** pgbench's branches: as many as its clients, so that they needn't wait for one another. */
const TPCB_SCALE = 10;
const ACCOUNTS_PER_CLIENT = 1_000;
const BATCH = 50;
/** Each gives five entries: paid, held, funded, posted, billed. */
const RENTALS = 200_000;
const AUDITS = 3;
const NANOSECONDS = 1e9;

const CAUSE = "md5(random()::text || clock_timestamp()::text)";
/** Of two accounts of the client's own, so that transactions of many transfers can't deadlock. */
const post = (number: string) => `ledger_post(
  'tr_' || ${CAUSE}, 'customer:bench_' || :client_id || '_' || ${number},
  'customer:bench_' || :client_id || '_' || (${number} + 1) % ${ACCOUNTS_PER_CLIENT}, 1, 'bench', ${CAUSE}, 1)`;
const SCRIPTS = {
  single: `\\set number random(0, ${ACCOUNTS_PER_CLIENT - 1})\nSELECT ${post(":number")};\n`,
  batched: `SELECT count(${post("number")}) FROM (
    SELECT floor(random() * ${ACCOUNTS_PER_CLIENT})::int AS number FROM generate_series(1, ${BATCH}) OFFSET 0) AS n;\n`,
} as const;

async function pgbench(url: string, args: readonly string[]): Promise<number> {
  const threads = ["-n", "-c", String(CLIENTS), "-j", "1", "-T", String(ROUND_SECONDS)];
  const { stdout } = await run("pgbench", [...threads, ...args, url]);
  const [, rate] = /tps = ([0-9.]+)/.exec(stdout) ?? [];
  if (rate === undefined) throw new Error(`pgbench told no rate:\n${stdout}`);
  return Number(rate);
}

export async function benchLedger(): Promise<BenchRow[]> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "volley-bench-"));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const server = await startEmbeddedPostgres(folder);
  stack.defer(() => server.stop());
  await migrateDatabase(server.url);
  const client = postgres(server.url, { max: 1, onnotice: () => undefined });
  stack.defer(() => client.end());
  const tpcbUrl = new URL(server.url);
  tpcbUrl.pathname = "/tpcb";
  await client.unsafe("CREATE DATABASE tpcb");
  await run("pgbench", ["-i", "-q", "-s", String(TPCB_SCALE), tpcbUrl.href]);
  await client.unsafe(`
    INSERT INTO accounts (id, kind, limited, credits_posted, created_at)
    SELECT 'customer:bench_' || client || '_' || number, 'customer', true, 1000000000, 1
    FROM generate_series(0, ${CLIENTS - 1}) AS client, generate_series(0, ${ACCOUNTS_PER_CLIENT - 1}) AS number`);
  const files = { single: join(folder, "single.sql"), batched: join(folder, "batched.sql") };
  await writeFile(files.single, SCRIPTS.single);
  await writeFile(files.batched, SCRIPTS.batched);

  const rates = { tpcb: [] as number[], single: [] as number[], batched: [] as number[] };
  for (let round = 0; round < ROUNDS; round++) {
    rates.tpcb.push(await pgbench(tpcbUrl.href, []));
    rates.single.push(await pgbench(server.url, ["-f", files.single]));
    rates.batched.push(BATCH * (await pgbench(server.url, ["-f", files.batched])));
  }
  const peer = `TPC-B ${spread(rates.tpcb)}/s`;
  const compare = (name: "single" | "batched", least: number, what: string): BenchRow => {
    const ratio = median(rates[name].map((rate, round) => rate / (rates.tpcb[round] ?? Number.NaN)));
    return {
      subject: `ledger transfers, ${what}, ${CLIENTS} clients`,
      ours: `${spread(rates[name])}/s`,
      peer,
      ratio: ratio.toFixed(2),
      goal: `≥ ${least} × TPC-B`,
      met: ratio >= least,
    };
  };
  return [
    compare("single", 1, "one in a transaction"),
    compare("batched", 5, `${BATCH} in a transaction`),
    await benchAudit(server.url, client),
  ];
}

async function benchAudit(url: string, client: postgres.Sql): Promise<BenchRow> {
  await client.unsafe(`
    TRUNCATE accounts, transfers CASCADE;
    INSERT INTO accounts (id, kind, limited, created_at)
      VALUES ('chain:usdc', 'chain', false, 1), ('revenue:platform', 'revenue', false, 1);
    INSERT INTO accounts (id, kind, limited, debits_posted, credits_posted, created_at)
      SELECT kind || ':' || n, kind, true, 10, 10, 1
      FROM generate_series(1, ${RENTALS}) AS n, unnest(ARRAY['customer', 'escrow']) AS kind;
    INSERT INTO transfers
      (id, kind, pending_id, debit_account, credit_account, amount_micro_usdc, reason, reference, created_at)
    SELECT t.* FROM generate_series(1, ${RENTALS}) AS n, LATERAL (VALUES
      ('a' || n, 'posted', NULL, 'chain:usdc', 'customer:' || n, 10::bigint, 'paid', n::text, 1::bigint),
      ('b' || n, 'pending', NULL, 'customer:' || n, 'escrow:' || n, 10, 'hold', n::text, 1),
      ('c' || n, 'fund', 'b' || n, 'customer:' || n, 'escrow:' || n, 10, 'fund', n::text, 1),
      ('d' || n, 'post', 'b' || n, 'customer:' || n, 'escrow:' || n, 10, 'resolve', n::text, 1),
      ('e' || n, 'posted', NULL, 'escrow:' || n, 'revenue:platform', 10, 'bill', n::text, 1)) AS t;
    ANALYZE`);
  const db = openDatabase(url, { connectionsMax: 1 });
  const seconds: number[] = [];
  try {
    for (let audit = 0; audit < AUDITS; audit++) {
      const startedAt = process.hrtime.bigint();
      const results = await auditLedger({ db });
      seconds.push(Number(process.hrtime.bigint() - startedAt) / NANOSECONDS);
      const broken = results.filter((result) => !result.holds);
      if (broken.length > 0) throw new Error(`the audit found what isn't there: ${JSON.stringify(broken)}`);
    }
  } finally {
    await db.$client.end({ timeout: 5 });
  }
  return {
    subject: `audit of ${(5 * RENTALS).toLocaleString("en")} entries, every rule of the ledger`,
    ours: `${spread(seconds, (value) => value.toFixed(1))} s`,
    peer: "",
    ratio: "",
    goal: "≤ 60 s",
    met: median(seconds) <= 60,
  };
}

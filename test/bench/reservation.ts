/**
 * Reserving over HTTP against pgbench calling the same SQL function on the same server, in turns, at several numbers
 * of clients, spread over many machines and on one alone. Durable: the database syncs every commit.
 */
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { type Id, makeId } from "@volley/schema/ids";
import autocannon from "autocannon";
import postgres from "postgres";
import { strongRandom } from "../../api/adapters/strong-random.ts";
import { migrateDatabase } from "../../api/db/migrate.ts";
import { startEmbeddedPostgres } from "../../api/local/postgres.ts";
import { signQuote } from "../../api/market/quote-token.ts";
import { type BenchRow, median, spread } from "./row.ts";
import { QUOTE_KEY, startApi } from "./start-api.ts";

const run = promisify(execFile);
const ROUNDS = 5;
const ROUND_SECONDS = 4;
const NODES = 5_000;
const SLOTS = 64;
/** A machine that all clients want, one for each round: no real one has so many slots, but a round takes thousands. */
const HOT_NODES = 2 * ROUNDS;
const HOT_SLOTS = 10_000;
const random = strongRandom();

interface World {
  readonly url: string;
  readonly apiUrl: string;
  readonly folder: string;
  readonly nodeIds: readonly Id<"node">[];
}

/** A quote for one slot, as the market would have signed it. */
function newQuoteToken(nodeId: Id<"node">): string {
  const nowMs = Date.now();
  return signQuote(
    {
      id: makeId("quote", nowMs, random.bytes(10)),
      createdAtMs: nowMs,
      expiresAtMs: nowMs + 600_000,
      feeBps: 500,
      wish: { gpu: "cpu", gpus_per_node: 1, nodes: 1, duration_seconds: 3600, prefer: "price" },
      ranks: [
        {
          nodeId,
          rateMicroUsdcPerGpuHour: 360_000n,
          country: "DE",
          region: "bench",
          interconnect: "ethernet",
          reliabilityPpm: 990_000,
          isolation: "container",
          supplierClass: "network",
        },
      ],
      rttMsMax: 0,
    },
    [QUOTE_KEY],
  );
}

async function insertNodes(url: string): Promise<Id<"node">[]> {
  const sql = postgres(url, { max: 1, onnotice: () => undefined });
  const supplier = makeId("supplier", Date.now(), random.bytes(10));
  await sql`INSERT INTO suppliers (id, name, class, created_at) VALUES (${supplier}, 'bench', 'network', 0)`;
  const ids = Array.from({ length: NODES + HOT_NODES }, () => makeId("node", Date.now(), random.bytes(10)));
  await sql`CREATE TABLE bench_nodes (n integer PRIMARY KEY, id text NOT NULL)`;
  await sql`
    INSERT INTO bench_nodes SELECT n::integer - 1, id FROM unnest(${ids}::text[]) WITH ORDINALITY AS given(id, n)`;
  await sql`
    INSERT INTO nodes (id, supplier_id, adapter, gpu, gpus_total, gpus_free, price_micro_usdc_per_gpu_hour, country,
      region, latitude, longitude, interconnect, reliability_ppm, isolation, cpu_cores, memory_gib, disk_gib, status,
      created_at)
    SELECT id, ${supplier}, 'simulated', 'cpu', slots, slots, 360000, 'DE', 'bench', 0, 0, 'ethernet', 990000,
      'container', 8, 16, 100, 'online', 0
    FROM bench_nodes, LATERAL (SELECT CASE WHEN n < ${NODES}::integer THEN ${SLOTS}::integer ELSE ${HOT_SLOTS}::integer END AS slots) AS size`;
  await sql.end();
  return ids;
}

/** Has the API make one reservation and turns the request it sent into a template that pgbench fills in. */
async function preparePgbench(world: World): Promise<void> {
  const sql = postgres(world.url, { max: 1, onnotice: () => undefined });
  await sql.unsafe(`
    CREATE FUNCTION bench_request(n bigint, node_id text) RETURNS jsonb LANGUAGE sql AS $$
      SELECT jsonb_build_object(
        'now_ms', 1800000000000, 'scope', 'bench:' || n, 'scope_prefix', 'bench:', 'key', n::text, 'fingerprint', 'f',
        'key_expires_at', 1900000000000, 'response', jsonb_build_object('body', repeat('x', 1500)),
        'quote_expires_at', 1900000000000, 'holds_max', NULL, 'gpus_total', 1,
        'cluster', jsonb_build_object('id', 'cl_' || n, 'secret_hash', 's' || n, 'caller_hash', 'c', 'quote_id', 'q' || n,
          'quote', jsonb_build_object('text', repeat('x', 1200)), 'gpu', 'cpu', 'gpus_per_node', 1,
          'duration_seconds', 3600, 'fee_bps', 500, 'total_micro_usdc', '378000', 'env', '{}'::jsonb,
          'metadata', '{}'::jsonb, 'master_port', 20000),
        'payment', jsonb_build_object('id', 'pay_' || n, 'hold_transfer_id', 'tr_' || n, 'rail', 'solana_pay',
          'amount_micro_usdc', '378000', 'recipient', 'r', 'mint', 'm', 'reference', 'ref' || n,
          'commitment', 'confirmed', 'expires_at', 1800000600000),
        'leases', jsonb_build_array(jsonb_build_object('id', 'ls_' || n, 'rank', 0, 'node_id', node_id, 'gpus', 1,
          'rate_micro_usdc_per_gpu_hour', '360000', 'hostname', 'rank-0')),
        'event_id', 'evt_' || n, 'event_data', '{}'::jsonb)
    $$`);
  await sql.end();
  await writeFile(
    join(world.folder, "reserve.sql"),
    `
\\set n random(1, 9000000000000000)
\\set node random(:first, :last)
SELECT reserve_cluster(bench_request(:n, (SELECT id FROM bench_nodes WHERE n = :node)));
`,
  );
}

/** The machines of one round, by number. */
interface Target {
  readonly first: number;
  readonly last: number;
}

async function pgbench(world: World, clients: number, { first, last }: Target): Promise<number> {
  const { stdout } = await run(
    "pgbench",
    [
      "-n",
      "-M",
      "prepared",
      "-c",
      String(clients),
      "-j",
      "1",
      "-T",
      String(ROUND_SECONDS),
      "-D",
      `first=${first}`,
      "-D",
      `last=${last}`,
      "-f",
      join(world.folder, "reserve.sql"),
      world.url,
    ],
    { timeout: 120_000 },
  );
  const tps = /tps = ([0-9.]+)/.exec(stdout)?.[1];
  if (tps === undefined) throw new Error(`pgbench printed no figure: ${stdout}`);
  return Number(tps);
}

async function overHttp(world: World, clients: number, { first, last }: Target): Promise<number> {
  const next = () => {
    const nodeId = world.nodeIds[first + Math.floor(Math.random() * (last - first + 1))] as Id<"node">;
    return JSON.stringify({ quote_token: newQuoteToken(nodeId) });
  };
  let count = 0;
  const headers = () => ({
    "content-type": "application/json",
    "idempotency-key": `bench-${process.pid}-${Date.now()}-${count++}`,
  });
  const result = await autocannon({
    url: `${world.apiUrl}/v1/clusters`,
    connections: clients,
    duration: ROUND_SECONDS,
    method: "POST",
    setupClient(client) {
      const renew = () => client.setHeadersAndBody(headers(), next());
      renew();
      client.on("response", renew);
    },
  });
  if (result.non2xx > 0 || result.errors > 0) {
    throw new Error(`${result.non2xx} answers were not 2xx, ${result.errors} requests failed`);
  }
  return result.requests.total / result.duration;
}

let nextHot = 0;

async function measure(world: World, clients: number, script: "spread" | "hot"): Promise<BenchRow> {
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const hot = NODES + (script === "hot" ? nextHot++ % HOT_NODES : 0);
    const target = script === "hot" ? { first: hot, last: hot } : { first: 0, last: NODES - 1 };
    ours.push(await overHttp(world, clients, target));
    theirs.push(await pgbench(world, clients, target));
  }
  const ratios = ours.map((value, round) => value / (theirs[round] as number));
  const goal = script === "hot" ? "no collapse" : "≥ 70 %";
  return {
    subject: `reservation, ${clients} clients, ${script === "hot" ? "one machine" : `${NODES} machines`}`,
    ours: `${spread(ours)}/s`,
    peer: `pgbench ${spread(theirs)}/s`,
    ratio: `${(median(ratios) * 100).toFixed(0)} %`,
    goal: clients === 1 && script !== "hot" ? "-" : goal,
    met: clients === 1 || script === "hot" ? median(ratios) > 0.3 : median(ratios) >= 0.7,
  };
}

export async function benchReservation(): Promise<BenchRow[]> {
  try {
    await run("pgbench", ["--version"]);
  } catch {
    console.log("reservation: left out, because pgbench isn't installed (Debian: postgresql-contrib or postgresql-15)");
    return [];
  }
  const folder = await mkdtemp(join(tmpdir(), "volley-bench-"));
  const database = await startEmbeddedPostgres(folder, { flags: "-c shared_buffers=1GB -c max_wal_size=4GB" });
  await migrateDatabase(database.url);
  const nodeIds = await insertNodes(database.url);
  const server = await startApi(database.url);
  try {
    const world: World = { url: database.url, apiUrl: server.url, folder, nodeIds };
    await preparePgbench(world);
    const rows: BenchRow[] = [];
    for (const clients of [1, 16, 64]) rows.push(await measure(world, clients, "spread"));
    for (const clients of [16, 64]) rows.push(await measure(world, clients, "hot"));
    return rows;
  } finally {
    server.stop();
    await database.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

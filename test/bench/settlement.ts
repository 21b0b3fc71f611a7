/**
 * From the moment in which a payment is `confirmed` on chain until it is settled in the books, through the real
 * watcher, task loop, Postgres and three nodes over HTTP, with Solana's slot time and the default of how often is
 * looked. Payments come one at a time, as their payers would wait for them.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generateKeyPairSigner } from "@solana/kit";
import { getTransferCheckedInstruction } from "@solana-program/token";
import { eq } from "drizzle-orm";
import { inProcessHints } from "../../api/adapters/in-process-hints.ts";
import { jsonLogger } from "../../api/adapters/json-logger.ts";
import { noMetrics } from "../../api/adapters/no-metrics.ts";
import { strongRandom } from "../../api/adapters/strong-random.ts";
import { systemClock } from "../../api/adapters/system-clock.ts";
import { poolAt } from "../../api/chain/pool.ts";
import type { Services } from "../../api/context.ts";
import { openDatabase, wake } from "../../api/db/database.ts";
import { migrateDatabase } from "../../api/db/migrate.ts";
import { payments } from "../../api/db/tables.ts";
import { TASK_HANDLERS } from "../../api/jobs/handlers.ts";
import { runTaskLoop } from "../../api/jobs/loop.ts";
import { startDevelopmentChain } from "../../api/local/chain/start-development-chain.ts";
import { startEmbeddedPostgres } from "../../api/local/postgres.ts";
import { newMarket } from "../../api/market/market.ts";
import { readSettings } from "../../api/settings.ts";
import { fundedWallet, send, usdcAccountOf } from "../chain/wallet.ts";
import { insertNode, insertReservation } from "../harness/reservation.ts";
import { withReferences } from "../payments/world.ts";
import type { BenchRow } from "./row.ts";

const PAYMENTS = 40;
const SLOT_MS = 400;
const AMOUNT = 1_000_000n;
const LOOK_MS = 5;
const WAIT_MS_MAX = 30_000;
const KEY = "k".repeat(43);

export async function benchSettlement(): Promise<BenchRow[]> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "volley-bench-"));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const postgres = await startEmbeddedPostgres(folder);
  stack.defer(() => postgres.stop());
  await migrateDatabase(postgres.url);
  const db = openDatabase(postgres.url, { connectionsMax: 10 });
  stack.defer(() => db.$client.end({ timeout: 5 }));
  const server = await startDevelopmentChain({ slotMs: SLOT_MS });
  stack.defer(() => server.close());
  const { chain } = server;
  const treasury = await generateKeyPairSigner();
  chain.faucet({ address: treasury.address, microUsdc: 1n });
  const payer = await fundedWallet(chain, 1_000_000_000n);

  const clock = systemClock;
  const { rpcUrl } = server;
  const services: Services = {
    clock,
    random: strongRandom(),
    db,
    chain: poolAt([rpcUrl, rpcUrl, rpcUrl], { clock, metrics: noMetrics }),
    cards: null,
    screening: null,
    market: newMarket(),
    suppliers: {},
    settings: readSettings({
      VOLLEY_QUOTE_KEYS: KEY,
      VOLLEY_SECRET_KEY: KEY,
      VOLLEY_TREASURY_ADDRESS: treasury.address,
      SOLANA_RPC_URL: rpcUrl,
      USDC_MINT: chain.usdcMint,
    }),
    logger: jsonLogger({ clock, level: "error", write: (line) => process.stderr.write(`${line}\n`) }),
    metrics: noMetrics,
    hints: inProcessHints(clock),
  };
  const stopping = new AbortController();
  await wake(db, "treasury", "usdc", clock.nowMs());
  const loop = runTaskLoop(services, { owner: "bench", handlers: TASK_HANDLERS }, stopping.signal);
  stack.defer(async () => {
    stopping.abort(new Error("the bench is over"));
    await loop;
  });

  const { nodeId } = await insertNode(services);
  const source = await usdcAccountOf(chain, payer.address);
  const destination = await usdcAccountOf(chain, treasury.address);
  const delaysMs: number[] = [];
  for (let count = 0; count < PAYMENTS; count++) {
    const reservation = await insertReservation(services, { nodeId, amountMicroUsdc: AMOUNT });
    services.hints.notify("tasks");
    const mint = chain.usdcMint;
    const checked = { source, mint, destination, authority: payer, amount: AMOUNT, decimals: 6 };
    // Payers come at any time of the watcher's pause and of the slot.
    await clock.sleep((count * 137) % 900);
    await send(chain, payer, [withReferences(getTransferCheckedInstruction(checked), [reservation.reference])]);
    const landedIn = chain.slot;
    const confirmed = Promise.withResolvers<number>();
    const ignore = chain.listen({ onSlot: (slot) => slot > landedIn && confirmed.resolve(clock.nowMs()) });
    const confirmedAtMs = await confirmed.promise;
    ignore();
    delaysMs.push((await settledAtMs(services, reservation.paymentId)) - confirmedAtMs);
  }
  delaysMs.sort((one, two) => one - two);
  const at = (share: number) => delaysMs[Math.min(delaysMs.length - 1, Math.floor(delaysMs.length * share))] ?? 0;
  return [0.5, 0.95].map((share) => ({
    subject: `payment acted on after confirmed, p${share * 100}, ${PAYMENTS} payments, 3 nodes`,
    ours: `${at(share)} ms`,
    peer: `looking every ${services.settings.chainPollMs} ms`,
    ratio: "",
    goal: "p95 ≤ 1000 ms",
    met: at(share) <= 1000,
  }));
}

async function settledAtMs({ db, clock }: Services, paymentId: string): Promise<number> {
  for (const endMs = clock.nowMs() + WAIT_MS_MAX; clock.nowMs() < endMs; await clock.sleep(LOOK_MS)) {
    const [payment] = await db.select({ status: payments.status }).from(payments).where(eq(payments.id, paymentId));
    if (payment?.status === "settled") return clock.nowMs();
  }
  throw new Error(`the payment ${paymentId} was not settled within ${WAIT_MS_MAX} ms`);
}

/** Money's whole world in one process: Postgres, the real virtual machine and token program, a clock that tests move. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  AccountRole,
  type Address,
  address,
  createKeyPairSignerFromPrivateKeyBytes,
  createSolanaRpcFromTransport,
  type Instruction,
  type KeyPairSigner,
} from "@solana/kit";
import { getTransferCheckedInstruction } from "@solana-program/token";
import { eq } from "drizzle-orm";
import { strongRandom } from "../../api/adapters/strong-random.ts";
import { rpcChain } from "../../api/chain/rpc.ts";
import { type Actor, type Context, type Services, systemContext } from "../../api/context.ts";
import { clusters, inboundTransfers, paymentNotices, payments, refunds } from "../../api/db/tables.ts";
import type { TaskOutcome } from "../../api/jobs/engine.ts";
import { auditCapacity } from "../../api/ledger/audit-capacity.ts";
import { auditChain } from "../../api/ledger/audit-chain.ts";
import { auditLedger } from "../../api/ledger/audit-ledger.ts";
import type { AuditResult } from "../../api/ledger/audit-result.ts";
import { type ChainFaults, faultyTransport } from "../../api/local/chain/faulty-transport.ts";
import { sweepTreasury } from "../../api/payments/inbound/sweep-treasury.ts";
import { watchPayment } from "../../api/payments/inbound/watch-payment.ts";
import type { Logger } from "../../api/ports/logger.ts";
import type { Settings } from "../../api/settings.ts";
import { processRefund } from "../../api/treasury/refunds/process-refund.ts";
import { sponsorSignerFromFile } from "../../api/treasury/sponsor/sponsor-signer-file.ts";
import type { TreasuryContext, TreasuryServices } from "../../api/treasury/treasury-context.ts";
import type { TreasurySettings } from "../../api/treasury/treasury-settings.ts";
import { treasurySignerFromFile } from "../../api/treasury/treasury-signer-file.ts";
import { fundedWallet, newChain, oneSol, send, usdcAccountOf } from "../chain/wallet.ts";
import { createTestDatabase } from "../harness/database.ts";
import { insertNode, insertReservation, type Reservation, type ReservationOptions } from "../harness/reservation.ts";

const SLOT_MS = 400;
const START_MS = 1_700_000_000_000;

export class ManualClock {
  #nowMs = START_MS;
  nowMs(): number {
    return this.#nowMs;
  }
  pass(ms: number): void {
    this.#nowMs += ms;
  }
  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    this.#nowMs += ms;
  }
}

const silent: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  with: () => silent,
};

export type MoneyWorld = Awaited<ReturnType<typeof newMoneyWorld>>;

export async function newMoneyWorld(connectionsMax = 10) {
  const database = await createTestDatabase(connectionsMax);
  const { db } = database;
  const folder = await mkdtemp(join(tmpdir(), "volley-money-"));
  const clock = new ManualClock();
  const chain = newChain({ genesisTimeMs: clock.nowMs() });
  const random = strongRandom();
  const treasury = await writeKey(join(folder, "treasury.json"));
  const sponsor = await writeKey(join(folder, "sponsor.json"));
  chain.faucet({ address: treasury.address, lamports: 10n * oneSol, microUsdc: 1n });
  const settings: Settings & TreasurySettings = {
    publicUrl: "http://127.0.0.1",
    quoteKeys: ["k"],
    secretKey: "k",
    platformFeeBps: 500,
    quoteLifetimeSeconds: 600,
    paymentLifetimeSeconds: 600,
    holdsPerCallerMax: 20,
    heldGpusPerCallerPercent: 100,
    heldGpusPercent: 100,
    provisioningTimeoutSeconds: 600,
    nodeSilenceSeconds: 45,
    heartbeatIntervalSeconds: 5,
    solanaRpcUrls: ["http://127.0.0.1"],
    solanaNetwork: "localnet",
    usdcMint: chain.usdcMint,
    topupMinMicroUsdc: 1_000_000n,
    topupMaxMicroUsdc: 100_000_000_000n,
    refundDelaySeconds: 0,
    payoutMinMicroUsdc: 10_000_000n,
    payoutMaxMicroUsdc: 1_000_000_000n,
    payoutIntervalSeconds: 86_400,
    sessionLifetimeSeconds: 3600,
    treasuryAddress: treasury.address,
    sponsorAddress: sponsor.address,
    sponsoredFeesPerPayment: 0,
    confirmedLimitMicroUsdc: 100_000_000n,
    anchors: true,
    limits: {
      transactionMaxMicroUsdc: 1_000_000_000n,
      dayMaxMicroUsdc: 1_000_000_000_000n,
      transactionMaxLamports: 1_000_000n,
      dayMaxLamports: 1_000_000_000n,
    },
    sanctionsList: null,
    receiptKeys: [Buffer.alloc(32, 7).toString("base64url")],
    auditIntervalSeconds: 60,
    stripeSecretKey: null,
    stripeWebhookSecrets: [],
    stripeApiUrl: "http://127.0.0.1",
    cardHoldSeconds: 3600,
    cardMaxMicroUsdc: 500_000_000n,
    chainPollMs: 500,
    bodyBytesMax: 262_144,
    rateLimitPerMinute: 1_000_000,
    marketRefreshMs: 500,
    metricsToken: null,
  };
  const chainWith = (faults: Partial<ChainFaults> = {}, dice: () => number = () => 1) =>
    rpcChain(createSolanaRpcFromTransport(faultyTransport(chain, faults, dice)), { clock });
  /** One program does here what two processes do elsewhere. */
  const services: Services & TreasuryServices = {
    clock,
    random,
    db,
    chain: chainWith(),
    signer: await treasurySignerFromFile(join(folder, "treasury.json"), settings),
    sponsor: await sponsorSignerFromFile(join(folder, "sponsor.json"), settings),
    facilitator: null,
    // Money needs no market.
    cards: null,
    screening: null,
    market: {} as Services["market"],
    suppliers: {},
    settings,
    logger: silent,
    metrics: { count: () => undefined, gauge: () => undefined, observe: () => undefined, render: async () => "" },
    hints: { notify: () => undefined, wait: async () => undefined },
  };
  const ctx = systemContext(services, new AbortController().signal);
  const { nodeId, supplierId } = await insertNode(ctx);
  const treasuryToken = await usdcAccountOf(chain, treasury.address);

  const world = {
    ...database,
    clock,
    chain,
    ctx,
    treasury,
    treasuryToken,
    nodeId,
    supplierId,
    chainWith,
    /** The context with other parts. */
    with: (parts: Partial<typeof ctx>) => ({ ...ctx, ...parts }),
    as: (actor: Actor, idempotencyKey: string | null = null): Context => ({ ...ctx, actor, idempotencyKey }),
    holder: (reservation: Reservation, idempotencyKey: string | null = null): Context => ({
      ...ctx,
      actor: { kind: "bearer", tokenHash: reservation.secretHash },
      idempotencyKey,
    }),
    reserve: (options: Omit<ReservationOptions, "nodeId">) => insertReservation(ctx, { nodeId, ...options }),
    wallet: (microUsdc?: bigint) => fundedWallet(chain, microUsdc),
    /** Time passes and slots with it. */
    advance(slots: number): void {
      for (let passed = 0; passed < slots; passed++) {
        clock.pass(SLOT_MS);
        chain.advanceSlot(clock.nowMs());
      }
    },
    /** An instruction that transfers USDC to the treasury, with references as a wallet adds them. */
    async transferTo(payer: KeyPairSigner, amount: bigint, references: readonly string[] = []): Promise<Instruction> {
      const transfer = getTransferCheckedInstruction({
        source: await usdcAccountOf(chain, payer.address),
        mint: chain.usdcMint,
        destination: treasuryToken,
        authority: payer,
        amount,
        decimals: 6,
      });
      return withReferences(transfer, references);
    },
    async pay(payer: KeyPairSigner, amount: bigint, references: readonly string[] = []): Promise<string> {
      return await send(chain, payer, [await world.transferTo(payer, amount, references)]);
    },
    /** Somebody with the treasury's key takes money out. */
    async drain(amount: bigint): Promise<void> {
      const thief = await fundedWallet(chain, 1n);
      const transfer = getTransferCheckedInstruction({
        source: treasuryToken,
        mint: chain.usdcMint,
        destination: await usdcAccountOf(chain, thief.address),
        authority: treasury,
        amount,
        decimals: 6,
      });
      await send(chain, treasury, [transfer]);
    },
    send: (payer: KeyPairSigner, instructions: Instruction[], options?: Parameters<typeof send>[3]) =>
      send(chain, payer, instructions, options),
    watch: (reservation: Reservation, context: Context = ctx) => watchPayment(context, reservation.paymentId),
    sweep: (context: Context = ctx) => sweepTreasury(context, "usdc"),
    /** Sweeps until all that has happened is final and in the books. */
    async catchUp(context: Context = ctx): Promise<void> {
      world.advance(10);
      for (let sweeps = 0; sweeps < 100; sweeps++) {
        const outcome = await sweepTreasury(context, "usdc");
        if (outcome !== "done" && outcome.dueAtMs > clock.nowMs()) return;
      }
      throw new Error("the sweep doesn't come to an end");
    },
    /** Runs the refund's task until it is done, with slots passing in between. */
    async finishRefund(id: string, context: TreasuryContext = ctx): Promise<void> {
      await repeat(world, processRefund, id, context);
    },
    async payment(reservation: Reservation) {
      const [row] = await db.select().from(payments).where(eq(payments.id, reservation.paymentId));
      if (row === undefined) throw new Error("no such payment");
      return row;
    },
    async cluster(reservation: Reservation) {
      const [row] = await db.select().from(clusters).where(eq(clusters.id, reservation.clusterId));
      if (row === undefined) throw new Error("no such cluster");
      return row;
    },
    notices: (reservation: Reservation) =>
      db.select().from(paymentNotices).where(eq(paymentNotices.paymentId, reservation.paymentId)),
    inbound: () => db.select().from(inboundTransfers),
    refunds: (reservation: Reservation) =>
      db.select().from(refunds).where(eq(refunds.clusterId, reservation.clusterId)),
    /** What doesn't hold. */
    async faults(): Promise<AuditResult[]> {
      const results = [...(await auditLedger(ctx)), ...(await auditCapacity(ctx)), ...(await auditChain(ctx))];
      return results.filter((result) => !result.holds);
    },
    async close(): Promise<void> {
      await database.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
  // What the treasury held before the first rental is in the books like everything else.
  world.advance(10);
  await world.sweep();
  return world;
}

/** Runs a task's step again and again, with time and slots passing to when it is due. */
export async function repeat<Ctx>(
  world: Pick<MoneyWorld, "advance" | "clock">,
  handler: (ctx: Ctx, id: string) => Promise<TaskOutcome>,
  id: string,
  context: Ctx,
  stepsMax = 1_000,
): Promise<void> {
  for (let step = 0; step < stepsMax; step++) {
    const outcome: TaskOutcome = await handler(context, id);
    if (outcome === "done") return;
    world.advance(Math.max(1, Math.ceil((outcome.dueAtMs - world.clock.nowMs()) / SLOT_MS)));
  }
  throw new Error(`the task ${id} is not done after ${stepsMax} steps`);
}

export function withReferences(instruction: Instruction, references: readonly string[]): Instruction {
  const marks = references.map((reference) => ({ address: address(reference), role: AccountRole.READONLY }));
  return { ...instruction, accounts: [...(instruction.accounts ?? []), ...marks] };
}

/** A key as `solana-keygen` writes it. */
export async function writeKey(file: string, mode = 0o600): Promise<KeyPairSigner & { address: Address }> {
  const secret = strongRandom().bytes(32);
  const signer = await createKeyPairSignerFromPrivateKeyBytes(secret, true);
  const publicKey = new Uint8Array(await crypto.subtle.exportKey("raw", signer.keyPair.publicKey));
  await writeFile(file, JSON.stringify([...secret, ...publicKey]), { mode });
  return signer;
}

/**
 * What must hold when everything has come to rest: asked of the chain, of the machines and of the API first, and of
 * the database last, so that Volley's own books are checked against what really happened.
 */
import { parseUsdc } from "@volley/schema/money";
import type { Cluster } from "@volley/schema/resources/cluster";
import { associatedTokenAddress } from "../../api/local/chain/keys.ts";
import type { TransactionRecord } from "../../api/local/chain/transaction-history.ts";
import type { Renter, Sent } from "./renter.ts";
import type { World } from "./world.ts";

/** A machine may have failed unseen for so long before the meter stopped: storms hide machines from us. */
const METER_GRACE_MS = 150_000;

/** What stays so until somebody decides, as its alarm says: its owner's card payment was taken back. */
const HELD = `SELECT refunds.id FROM refunds JOIN customers ON customers.id = refunds.customer_id
  WHERE refunds.status = 'held' AND customers.frozen_at IS NOT NULL
    AND EXISTS (SELECT 1 FROM alarms WHERE name = 'refunds_held')`;

/** Unfinished business; a run is at rest when there is none. Each statement gives one text per item. */
const UNFINISHED = `
  SELECT 'cluster ' || id || ' is ' || status FROM clusters WHERE status NOT IN ('stopped', 'expired', 'failed')
  UNION ALL SELECT 'lease ' || id || ' has its machine' FROM leases WHERE released_at IS NULL
  UNION ALL SELECT 'payment ' || id || ' is ' || status FROM payments
    WHERE status NOT IN ('settled', 'expired', 'refunded')
  UNION ALL SELECT 'refund ' || id || ' is ' || status || coalesce(': ' || reason, '') FROM refunds
    WHERE status NOT IN ('finalized', 'cancelled') AND refunds.id NOT IN (${HELD})
  UNION ALL SELECT 'transfer ' || signature || ' is ' || finality FROM inbound_transfers WHERE finality = 'confirmed'
  UNION ALL SELECT 'hold ' || id || ' is open' FROM transfers AS hold WHERE kind = 'pending' AND NOT EXISTS (
    SELECT 1 FROM transfers WHERE pending_id = hold.id AND kind IN ('post', 'void'))
  UNION ALL SELECT 'account ' || id || ' is not empty' FROM accounts
    WHERE kind IN ('escrow', 'refund', 'supplier') AND credits_posted <> debits_posted + (
      SELECT coalesce(sum(amount_micro_usdc), 0) FROM refunds
      WHERE 'refund:' || id = accounts.id AND id IN (${HELD}))
  UNION ALL SELECT 'machine ' || id || ' has ' || gpus_free || ' of ' || gpus_total FROM nodes WHERE gpus_free <> gpus_total`;

export async function unfinished(world: World): Promise<string[]> {
  const found = await world.database.direct.unsafe<{ item: string }[]>(
    `SELECT item FROM (${UNFINISHED}) AS found(item)`,
  );
  return [
    ...found.map(({ item }) => item),
    ...world.cards.unfinished,
    ...world.machines.alive.map((machine) => `machine of ${machine.leaseId} runs`),
    ...(await missingInbound(world)).map((signature) => `transfer ${signature} is not recorded`),
  ];
}

/** Everything that moved USDC of the treasury, as the chain has it. */
interface Movement {
  readonly signature: string;
  /** Positive: into the treasury. */
  readonly microUsdc: bigint;
  /** Token accounts that gained. */
  readonly to: readonly string[];
}

function movements(world: World): Movement[] {
  const chain = world.chain.now;
  const treasury = associatedTokenAddress(world.settings.treasuryAddress, chain.usdcMint);
  return chain.state.history.all.flatMap((record) => {
    const microUsdc = change(record, treasury);
    if (record.execution.err !== null || microUsdc === 0n) return [];
    const to = record.keys.filter((key) => change(record, key) > 0n);
    return [{ signature: record.signature, microUsdc, to }];
  });
}

function change(record: TransactionRecord, account: string): bigint {
  const index = record.keys.indexOf(account);
  const held = (balances: TransactionRecord["preTokenBalances"]) =>
    BigInt(balances.find((balance) => balance.accountIndex === index)?.uiTokenAmount.amount ?? 0);
  return index === -1 ? 0n : held(record.postTokenBalances) - held(record.preTokenBalances);
}

async function missingInbound(world: World): Promise<string[]> {
  const rows = await world.database.direct<{ signature: string }[]>`SELECT signature FROM inbound_transfers`;
  const recorded = new Set(rows.map((row) => row.signature));
  return movements(world)
    .filter(({ signature, microUsdc }) => microUsdc > 0n && !recorded.has(signature))
    .map(({ signature }) => signature);
}

/** @param views each renter's cluster as the API tells it at rest */
export async function checkSettled(world: World, views: ReadonlyMap<Renter, Cluster>): Promise<void> {
  const moved = movements(world);
  const sent = [world.float, ...world.renters.flatMap((renter) => renter.sent), ...(await sentByX402(world))];
  await checkInbound(world, moved, sent);
  await checkOutbound(world, moved);
  await checkTotals(world, moved);
  for (const [renter, cluster] of views) await checkRental(world, renter, cluster, { moved, sent });
}

/** What renters had signed, and Volley's sponsor has sent for them: by the chain, for the cluster that they were told. */
async function sentByX402(world: World): Promise<Sent[]> {
  const treasury = associatedTokenAddress(world.settings.treasuryAddress, world.chain.now.usdcMint);
  const sent: Sent[] = [];
  for (const renter of world.renters.filter((each) => each.paysByX402)) {
    const own = new Set(renter.sent.map(({ signature }) => signature));
    for (const record of world.chain.now.state.history.all) {
      const amountMicroUsdc = change(record, treasury);
      const isRenters = change(record, renter.wallet.usdcAccount) < 0n;
      if (record.execution.err !== null || amountMicroUsdc <= 0n || !isRenters || own.has(record.signature)) continue;
      const reference = await referenceOf(world, record.signature, renter.cluster?.payment.id);
      sent.push({ signature: record.signature, reference, amountMicroUsdc });
    }
  }
  return sent;
}

/** Whose answer was lost, that renter can't know which cluster the payment was taken for. */
async function referenceOf(world: World, signature: string, paymentId: string | undefined): Promise<string | null> {
  const [found] = await world.database.direct<{ reference: string | null }[]>`
    SELECT reference FROM payments WHERE id = coalesce(${paymentId ?? null},
      (SELECT payment_id FROM inbound_transfers WHERE signature = ${signature} LIMIT 1))`;
  return found?.reference ?? null;
}

/** Every USDC that reached us is one row, for the payment that its sender meant. */
async function checkInbound(world: World, moved: readonly Movement[], sent: readonly Sent[]): Promise<void> {
  const rows = await world.database.direct<{ signature: string; amount: string; reference: string | null }[]>`
    SELECT signature, sum(inbound_transfers.amount_micro_usdc)::text AS amount, max(reference) AS reference
    FROM inbound_transfers LEFT JOIN payments ON payments.id = payment_id
    WHERE finality <> 'dropped' GROUP BY signature`;
  const recorded = new Map(rows.map((row) => [row.signature, row]));
  for (const { signature, microUsdc } of moved) {
    if (microUsdc > 0n && BigInt(recorded.get(signature)?.amount ?? 0) !== microUsdc) {
      world.fail("every transfer into the treasury is recorded once", `${signature}: ${microUsdc}`);
    }
  }
  if (rows.length !== sent.length) {
    world.fail("nothing is recorded that was not sent", `${rows.length} rows, ${sent.length} transfers`);
  }
  for (const { signature, reference } of sent) {
    const row = recorded.get(signature);
    if (row !== undefined && row.reference !== reference) {
      world.fail("a transfer counts for the payment that it names", `${signature}: ${row.reference}, not ${reference}`);
    }
  }
}

/** Every USDC that left is one refund, sent once. */
async function checkOutbound(world: World, moved: readonly Movement[]): Promise<void> {
  const rows = await world.database.direct<{ id: string; signature: string; amount: string; to: string }[]>`
    SELECT id, signature, amount_micro_usdc::text AS amount, to_address AS "to" FROM refunds WHERE status = 'finalized'`;
  const outbound = new Map(moved.filter(({ microUsdc }) => microUsdc < 0n).map((each) => [each.signature, each]));
  for (const refund of rows) {
    const movement = outbound.get(refund.signature);
    const to = associatedTokenAddress(refund.to, world.chain.now.usdcMint);
    if (movement === undefined || -movement.microUsdc !== BigInt(refund.amount) || !movement.to.includes(to)) {
      world.fail("a finalized refund is on chain, to its address and in full", refund.id);
    }
    outbound.delete(refund.signature);
  }
  for (const { signature, microUsdc } of outbound.values()) {
    world.fail("nothing leaves the treasury but refunds, each once", `${signature}: ${-microUsdc}`);
  }
}

async function checkTotals(world: World, moved: readonly Movement[]): Promise<void> {
  const [sums] = await world.database.direct<
    { [Sum in "chain" | "earned" | "lost" | "charged" | "paid_out" | "refunding" | "held" | "card"]: string }[]
  >`
    WITH balances AS (
      SELECT accounts.kind, sum(CASE WHEN credit_account = accounts.id THEN amount_micro_usdc
                                     ELSE -amount_micro_usdc END) AS balance
      FROM accounts JOIN transfers ON accounts.id IN (credit_account, debit_account)
      WHERE transfers.kind IN ('posted', 'post') GROUP BY accounts.kind
    ) SELECT
      coalesce((SELECT -balance FROM balances WHERE kind = 'chain'), 0)::text AS chain,
      coalesce((SELECT sum(balance) FROM balances WHERE kind IN ('supplier', 'revenue')), 0)::text AS earned,
      coalesce((SELECT sum(CASE reason WHEN 'inbound_dropped' THEN amount_micro_usdc ELSE -amount_micro_usdc END)
                FROM transfers WHERE reason = 'inbound_dropped' AND debit_account LIKE 'loss:%'
                  OR reason = 'inbound_returned'), 0)::text AS lost,
      coalesce((SELECT sum(((bill->'charged'->>'amount')::numeric * 1000000)::bigint) FROM clusters), 0)::text AS charged,
      coalesce((SELECT sum(amount_micro_usdc) FROM refunds WHERE kind = 'payout' AND status = 'finalized'), 0)::text
        AS paid_out,
      coalesce((SELECT balance FROM balances WHERE kind = 'refund'), 0)::text AS refunding,
      coalesce((SELECT sum(amount_micro_usdc) FROM refunds WHERE status = 'held'), 0)::text AS held,
      coalesce((SELECT -balance FROM balances WHERE kind = 'card'), 0)::text AS card`;
  const onChain = moved.reduce((sum, { microUsdc }) => sum + microUsdc, 0n);
  if (BigInt(sums?.chain ?? 0) !== onChain) {
    world.fail("the chain holds what the ledger says", `chain ${onChain}, ledger ${sums?.chain}`);
  }
  const [earned, lost, charged] = [sums?.earned, sums?.lost, sums?.charged].map((text) => BigInt(text ?? 0));
  const paidOut = BigInt(sums?.paid_out ?? 0);
  if ((earned ?? 0n) + paidOut !== charged) {
    const detail = `charged ${charged}, earned ${earned} and ${paidOut} paid out, lost ${lost}`;
    world.fail("what is charged is earned", detail);
  }
  if (sums?.refunding !== sums?.held) world.fail("nothing is on its way at rest", `${sums?.refunding}`);
  const kept = world.cards.paymentIds.reduce((sum, id) => sum + world.cards.keptMicroUsdc(id), 0n);
  if (BigInt(sums?.card ?? 0) !== kept) {
    world.fail("the card processor holds what the ledger says", `processor ${kept}, ledger ${sums?.card}`);
  }
}

/** Paid = charged + refunded + credit, by the chain and by what the renter is told. */
async function checkRental(
  world: World,
  renter: Renter,
  cluster: Cluster,
  { moved, sent }: { readonly moved: readonly Movement[]; readonly sent: readonly Sent[] },
): Promise<void> {
  const { bill } = cluster;
  if (bill === null) return world.fail("an ended cluster has its bill", cluster.id);
  const references = await referencesOf(world, cluster.id);
  const paid = sent
    .filter(({ reference }) => reference !== null && references.has(reference))
    .reduce((sum, { amountMicroUsdc }) => sum + amountMicroUsdc, 0n);
  const refundAccount = associatedTokenAddress(renter.refundAddress, world.chain.now.usdcMint);
  const refunded = moved
    .filter(({ microUsdc, to }) => microUsdc < 0n && to.includes(refundAccount))
    .reduce((sum, { microUsdc }) => sum - microUsdc, 0n);
  const charged = parseUsdc(bill.charged.amount);
  const credit = parseUsdc(cluster.credit.amount) + (await balanceOfOwner(world, cluster.id));
  const lost = await lostToForks(world, cluster.id);
  const byCard = renter.topupId === null ? 0n : await fromCard(world, renter.topupId);
  if (paid + byCard + lost !== charged + refunded + credit || (lost > 0n && !renter.mayPayOnFork)) {
    world.fail(
      "paid = charged + refunded + credit, but for forks and what banks took back",
      `${cluster.id}: ${paid} + ${byCard} + ${lost} ≠ ${charged} + ${refunded} + ${credit} (${JSON.stringify(renter.character)})`,
    );
  }
  if (renter.character.refundTo === "wallet" && !renter.hasAccount && credit !== 0n && cluster.status !== "expired") {
    await checkLeftCredit(world, cluster, credit);
  }
  await checkMeter(world, cluster, charged);
}

async function referencesOf(world: World, clusterId: string): Promise<Set<string>> {
  const rows = await world.database.direct<{ reference: string }[]>`
    SELECT reference FROM payments WHERE reference IS NOT NULL AND (cluster_id = ${clusterId}
      OR customer_id = (SELECT customer_id FROM clusters WHERE id = ${clusterId}))`;
  return new Set(rows.map((row) => row.reference));
}

/** What the account that the cluster belongs to has in its balance; each renter here has one cluster. */
async function balanceOfOwner(world: World, clusterId: string): Promise<bigint> {
  const [found] = await world.database.direct<{ balance: string }[]>`
    SELECT (credits_posted - debits_posted)::text AS balance FROM accounts
    JOIN clusters ON accounts.id = 'customer:' || clusters.customer_id WHERE clusters.id = ${clusterId}`;
  return BigInt(found?.balance ?? 0);
}

/** What the processor keeps of the payment, and what the platform has put in for what it had to give back. */
async function fromCard(world: World, paymentId: string): Promise<bigint> {
  const [loss] = await world.database.direct<{ amount: string }[]>`
    SELECT coalesce(sum(loss_micro_usdc), 0)::text AS amount FROM card_payments WHERE payment_id = ${paymentId}`;
  const [held] = await world.database.direct<{ amount: string }[]>`
    SELECT coalesce(sum(refunds.amount_micro_usdc), 0)::text AS amount FROM refunds JOIN payments USING (customer_id)
    WHERE payments.id = ${paymentId} AND refunds.status = 'held'`;
  return world.cards.keptMicroUsdc(paymentId) + BigInt(loss?.amount ?? 0) - BigInt(held?.amount ?? 0);
}

/** What was used before a payment that had been seen vanished with its fork for good: the platform's loss. */
async function lostToForks(world: World, clusterId: string): Promise<bigint> {
  const [lost] = await world.database.direct<{ amount: string }[]>`
    SELECT coalesce(sum(CASE reason WHEN 'inbound_dropped' THEN transfers.amount_micro_usdc
                                    ELSE -transfers.amount_micro_usdc END), 0)::text AS amount
    FROM transfers JOIN inbound_transfers ON transfers.reference LIKE signature || '%'
      JOIN payments ON payments.id = payment_id
    WHERE (reason = 'inbound_dropped' AND debit_account LIKE 'loss:%' OR reason = 'inbound_returned')
      AND cluster_id = ${clusterId}`;
  return BigInt(lost?.amount ?? 0);
}

/** With a refund address, what came before the end was sent there; only later money may be credit. */
async function checkLeftCredit(world: World, cluster: Cluster, credit: bigint): Promise<void> {
  const [late] = await world.database.direct<{ amount: string }[]>`
    SELECT coalesce(sum(inbound_transfers.amount_micro_usdc), 0)::text AS amount
    FROM inbound_transfers JOIN payments ON payments.id = payment_id JOIN clusters ON clusters.id = cluster_id
    WHERE cluster_id = ${cluster.id} AND inbound_transfers.created_at >= clusters.metered_until`;
  if (credit > BigInt(late?.amount ?? 0)) {
    world.fail("unused money goes to the refund address", `${cluster.id} keeps ${credit}`);
  }
}

/** Billed seconds ≤ leased seconds, ≤ seconds in which the machines were really up; and the price is the quoted one. */
async function checkMeter(world: World, cluster: Cluster, charged: bigint): Promise<void> {
  const leases = await world.database.direct<
    {
      id: string;
      rank: number;
      gpus: number;
      rate: string;
      fee_bps: number;
      from_ms: string;
      until_ms: string;
      leased: number;
    }[]
  >`
    SELECT leases.id, rank, gpus, rate_micro_usdc_per_gpu_hour::text AS rate, fee_bps,
           coalesce(clusters.ready_at, metered_until)::text AS from_ms, metered_until::text AS until_ms,
           duration_seconds AS leased
    FROM leases JOIN clusters ON clusters.id = cluster_id WHERE cluster_id = ${cluster.id}`;
  let exact = 0;
  for (const lease of leases) {
    const seconds = cluster.bill?.billed_seconds.find(({ rank }) => rank === lease.rank)?.seconds ?? -1;
    const [fromMs, untilMs] = [Number(lease.from_ms), Number(lease.until_ms)];
    const upMs = world.machines.upMs(lease.id, fromMs, untilMs);
    const label = `${cluster.id} rank ${lease.rank}: ${seconds} s`;
    if (seconds !== Math.max(0, Math.min(lease.leased, Math.floor((untilMs - fromMs) / 1000)))) {
      world.fail("billed seconds are the metered ones", `${label} of ${untilMs - fromMs} ms`);
    }
    if (seconds * 1000 > upMs + METER_GRACE_MS) world.fail("billed seconds were delivered", `${label}, up ${upMs} ms`);
    exact += (Number(lease.rate) * lease.gpus * seconds) / 3600;
  }
  exact *= 1 + (leases[0]?.fee_bps ?? 0) / 10_000;
  if (Number(charged) > exact + 1 || Number(charged) < exact - 2 * leases.length - 2) {
    world.fail("the charge is the metered time at the quoted rates", `${cluster.id}: ${charged}, exactly ${exact}`);
  }
  const isFree = cluster.status === "failed" || cluster.status === "expired" || cluster.ready_at === null;
  if (isFree && charged !== 0n) world.fail("a cluster that never ran costs nothing", cluster.id);
}

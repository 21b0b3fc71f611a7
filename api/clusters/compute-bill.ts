import { eq } from "drizzle-orm";
import type { Transaction } from "../db/database.ts";
import { leases, nodes } from "../db/tables.ts";
import { fundedMicroUsdc } from "../ledger/holds-of.ts";
import { smaller } from "../ledger/smaller.ts";
import { bill, type Charges, computeCharge } from "../market/price.ts";
import type { ClusterRow } from "./open-cluster.ts";

export interface BilledRank {
  readonly rank: number;
  readonly seconds: number;
  readonly supplierId: string;
  readonly amountMicroUsdc: bigint;
}

export interface ComputedBill {
  readonly ranks: readonly BilledRank[];
  readonly charges: Charges;
}

/**
 * What the cluster has cost when metering ends at `meteredUntilMs`: nothing before every rank was ready, whole
 * seconds that have passed since, and never more than was bought, neither of time nor of money.
 */
export async function computeBill(tx: Transaction, cluster: ClusterRow, meteredUntilMs: number): Promise<ComputedBill> {
  const seconds = meteredSeconds(cluster, meteredUntilMs);
  const carried = await tx
    .select({
      rank: leases.rank,
      gpus: leases.gpus,
      rateMicroUsdcPerGpuHour: leases.rateMicroUsdcPerGpuHour,
      supplierId: nodes.supplierId,
    })
    .from(leases)
    .innerJoin(nodes, eq(nodes.id, leases.nodeId))
    .where(eq(leases.clusterId, cluster.id))
    .orderBy(leases.rank);
  const uses = carried.map((rank) => ({ ...rank, seconds }));
  const computed = {
    ranks: uses.map((use) => ({
      rank: use.rank,
      seconds,
      supplierId: use.supplierId,
      amountMicroUsdc: computeCharge(use),
    })),
    charges: bill(uses, cluster.feeBps),
  };
  return within(computed, await fundedMicroUsdc(tx, cluster.id));
}

/**
 * Each extension is priced as a difference of two bills. Of those that were asked for side by side the sum can be some
 * micro-USDC below what all of the time costs; the platform goes without them, and then the last ranks, because a bill
 * that exceeds what is held could never be settled, and its cluster never end.
 */
function within({ ranks, charges }: ComputedBill, mostMicroUsdc: bigint): ComputedBill {
  let excess = charges.totalMicroUsdc - mostMicroUsdc;
  if (excess <= 0n) return { ranks, charges };
  const takeFrom = (amount: bigint) => {
    const taken = smaller(amount, excess);
    excess -= taken;
    return amount - taken;
  };
  const platformFeeMicroUsdc = takeFrom(charges.platformFeeMicroUsdc);
  const cut = ranks.toReversed().map((rank) => ({ ...rank, amountMicroUsdc: takeFrom(rank.amountMicroUsdc) }));
  const computeMicroUsdc = cut.reduce((sum, rank) => sum + rank.amountMicroUsdc, 0n);
  return {
    ranks: cut.toReversed(),
    charges: { computeMicroUsdc, platformFeeMicroUsdc, totalMicroUsdc: mostMicroUsdc },
  };
}

function meteredSeconds(cluster: ClusterRow, meteredUntilMs: number): number {
  if (cluster.readyAt === null) return 0;
  const seconds = Math.floor((meteredUntilMs - cluster.readyAt) / 1000);
  return Math.max(0, Math.min(seconds, cluster.durationSeconds));
}

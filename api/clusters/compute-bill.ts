import { eq } from "drizzle-orm";
import type { Transaction } from "../db/database.ts";
import { leases, nodes } from "../db/tables.ts";
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
 * seconds that have passed since, and never more than was bought.
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
  return {
    ranks: uses.map((use) => ({
      rank: use.rank,
      seconds,
      supplierId: use.supplierId,
      amountMicroUsdc: computeCharge(use),
    })),
    charges: bill(uses, cluster.feeBps),
  };
}

function meteredSeconds(cluster: ClusterRow, meteredUntilMs: number): number {
  if (cluster.readyAt === null) return 0;
  const seconds = Math.floor((meteredUntilMs - cluster.readyAt) / 1000);
  return Math.max(0, Math.min(seconds, cluster.durationSeconds));
}

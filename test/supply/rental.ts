/** A paid cluster of one rank on a machine, for tests of what machines do. */
import { eq } from "drizzle-orm";
import { reconcileCluster } from "../../api/clusters/reconcile-cluster.ts";
import { leases } from "../../api/db/tables.ts";
import { recordInbound } from "../../api/payments/inbound/record-inbound.ts";
import { insertReservation, type Reservation } from "../harness/reservation.ts";
import { system, type TestServices } from "../harness/services.ts";

const PRICE_MICRO_USDC = 1_050_000n;
let signatures = 0;

export async function pay(services: TestServices, reference: string, amountMicroUsdc: bigint): Promise<void> {
  await recordInbound(system(services), {
    signature: `signature-${++signatures}`,
    slot: BigInt(signatures),
    blockTimeSeconds: null,
    finality: "finalized",
    transfers: [{ index: 0, amountMicroUsdc, sourceOwner: null, referenceKeys: [reference], reference }],
  });
}

export interface Rental extends Reservation {
  readonly leaseId: string;
}

/** Reserved and paid for; its machine has been told to start. */
export async function startRental(services: TestServices, nodeId: string): Promise<Rental> {
  const ctx = system(services);
  const reservation = await insertReservation(ctx, { nodeId, amountMicroUsdc: PRICE_MICRO_USDC });
  await pay(services, reservation.reference, PRICE_MICRO_USDC);
  await reconcileCluster(ctx, reservation.clusterId);
  const [lease] = await services.db.select().from(leases).where(eq(leases.clusterId, reservation.clusterId));
  if (lease === undefined) throw new Error("the cluster has no lease");
  return { ...reservation, leaseId: lease.id };
}

export async function leaseOf(services: TestServices, rental: Rental) {
  const [lease] = await services.db.select().from(leases).where(eq(leases.id, rental.leaseId));
  if (lease === undefined) throw new Error("no such lease");
  return lease;
}

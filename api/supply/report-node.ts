import type { InputOf, Operations, OutputOf } from "@volley/schema";
import { and, eq, inArray, isNull } from "drizzle-orm";
import type { Context } from "../context.ts";
import type { Transaction } from "../db/database.ts";
import { executionRanks, leases } from "../db/tables.ts";
import { applyLeaseChanges, notifyClusters } from "./apply-lease-changes.ts";
import { requireNode, useCounter } from "./require-node.ts";
import { storeOutput } from "./store-output.ts";
import { weighSighting } from "./weigh-observation.ts";

type Report = Operations["nodes.report"];

/**
 * Takes in what an agent delivers: changes of leases, output, exit codes. All of it may be sent again. What belongs
 * to another machine, or to nothing that is known, is passed over.
 * @throws {VolleyError} `unauthenticated`, `not_found`, `node_counter_replayed`
 */
export async function reportNode(ctx: Context, input: InputOf<Report>): Promise<OutputOf<Report>> {
  const counter = requireNode(ctx, input.id, "report");
  const { accepted, concerned, woken } = await ctx.db.transaction(async (tx) => {
    // Holds the session's row, so that one machine's reports are taken in one after the other.
    await useCounter(tx, "report", input.id, counter);
    const own = await ownLeases(tx, input);
    const chunks = input.chunks.filter((chunk) => own.has(chunk.lease_id));
    const stored = await storeOutput(ctx, tx, own, chunks);
    const finished = await finishExecutions(ctx, tx, own, input.exits);
    const seen = new Map(
      input.leases.filter((one) => own.has(one.lease_id)).map((one) => [one.lease_id as string, one]),
    );
    const changed = await applyLeaseChanges(ctx, tx, input.id, [...seen.keys()], (lease) => {
      const sighting = seen.get(lease.id);
      return sighting === undefined ? null : weighSighting(lease, sighting, ctx.clock.nowMs());
    });
    const streams = [...chunks, ...input.exits].flatMap((one) => own.get(one.lease_id)?.clusterId ?? []);
    return { accepted: stored + finished + seen.size, concerned: new Set(streams), woken: changed };
  });
  for (const id of concerned) ctx.hints.notify(`cluster:${id}`);
  notifyClusters(ctx, woken);
  return { object: "node_report", accepted };
}

export type OwnLease = Pick<typeof leases.$inferSelect, "id" | "clusterId" | "rank" | "outputBytes">;

/** The leases of this machine that the report speaks of, locked in id order. */
async function ownLeases(tx: Transaction, input: InputOf<Report>): Promise<Map<string, OwnLease>> {
  const ids = new Set([...input.leases, ...input.chunks, ...input.exits].map((one) => one.lease_id as string));
  if (ids.size === 0) return new Map();
  const found = await tx
    .select({ id: leases.id, clusterId: leases.clusterId, rank: leases.rank, outputBytes: leases.outputBytes })
    .from(leases)
    .where(and(inArray(leases.id, [...ids]), eq(leases.nodeId, input.id)))
    .orderBy(leases.id)
    .for("no key update");
  return new Map(found.map((lease) => [lease.id, lease]));
}

/** An exit counts once; later ones are repetitions. */
async function finishExecutions(
  ctx: Context,
  tx: Transaction,
  own: ReadonlyMap<string, OwnLease>,
  exits: InputOf<Report>["exits"],
): Promise<number> {
  const finishedAt = ctx.clock.nowMs();
  const known = exits.filter((exit) => own.has(exit.lease_id));
  for (const { execution_id, lease_id, code, reason } of known) {
    await tx
      .update(executionRanks)
      .set({ exitCode: code, reason: reason?.replaceAll("\0", "") ?? null, finishedAt })
      .where(
        and(
          eq(executionRanks.executionId, execution_id),
          eq(executionRanks.leaseId, lease_id),
          isNull(executionRanks.finishedAt),
        ),
      );
  }
  return known.length;
}

/** What must be true of machines and leases at every moment. */
import { sql } from "drizzle-orm";
import type { Context } from "../context.ts";
import { type AuditResult, checkNone } from "./audit-result.ts";

export async function auditCapacity(ctx: Pick<Context, "db">): Promise<AuditResult[]> {
  return ctx.db.transaction(
    async (tx) => {
      const results: AuditResult[] = [];
      for (const [name, offenders] of RULES) results.push(await checkNone(tx, name, offenders));
      return results;
    },
    { isolationLevel: "repeatable read", accessMode: "read only" },
  );
}

const RULES = [
  [
    "C1 a live lease holds exactly its slots, an ended one none",
    sql`SELECT l.id || ': wants ' || CASE WHEN l.released_at IS NULL THEN l.slots::text ELSE '{}' END
               || ', holds ' || coalesce(s.slots::text, '{}')
        FROM leases AS l
        LEFT JOIN (SELECT lease_id, node_id, array_agg(slot ORDER BY slot) AS slots FROM lease_slots GROUP BY 1, 2) AS s
          ON s.lease_id = l.id
        WHERE CASE WHEN l.released_at IS NULL
          THEN s.slots IS DISTINCT FROM (SELECT array_agg(slot ORDER BY slot) FROM unnest(l.slots) AS slot)
            OR s.node_id <> l.node_id OR cardinality(l.slots) <> l.gpus
          ELSE s.slots IS NOT NULL END`,
  ],
  [
    "C2 free GPUs and used slots of every machine add up",
    sql`SELECT n.id || ': ' || n.gpus_free || ' free + ' || coalesce(s.used, 0) || ' used of ' || n.gpus_total
        FROM nodes AS n
        LEFT JOIN (SELECT node_id, count(*) AS used FROM lease_slots GROUP BY 1) AS s ON s.node_id = n.id
        WHERE n.gpus_free + coalesce(s.used, 0) <> n.gpus_total
        UNION ALL
        SELECT s.node_id || ': slot ' || s.slot || ' of ' || n.gpus_total FROM lease_slots AS s
        JOIN nodes AS n ON n.id = s.node_id WHERE s.slot < 0 OR s.slot >= n.gpus_total`,
  ],
  [
    "C3 no lease runs without an end",
    sql`SELECT l.id || ' of ' || c.id || ' (' || c.status || ')' FROM leases AS l JOIN clusters AS c ON c.id = l.cluster_id
        WHERE l.desired = 'running' AND l.ends_at IS NULL
        UNION ALL
        SELECT id FROM clusters WHERE status = 'running' AND ends_at IS NULL`,
  ],
  [
    "C3 only a cluster that is alive wants its machines to run",
    sql`SELECT l.id || ' of ' || c.id || ' (' || c.status || ')' FROM leases AS l JOIN clusters AS c ON c.id = l.cluster_id
        WHERE l.desired = 'running' AND c.status NOT IN ('provisioning', 'running')`,
  ],
  [
    "C3 an ended cluster holds no machine, or a task is giving it back",
    sql`SELECT DISTINCT c.id || ' (' || c.status || ')' FROM clusters AS c
        JOIN leases AS l ON l.cluster_id = c.id AND l.released_at IS NULL
        WHERE c.status IN ('stopping', 'stopped', 'expired', 'failed')
          AND NOT EXISTS (SELECT 1 FROM tasks AS t WHERE t.kind = 'cluster' AND t.id = c.id)`,
  ],
  [
    "C3 a task follows every cluster and refund that isn't finished",
    sql`SELECT 'cluster ' || c.id || ' (' || c.status || ')' FROM clusters AS c
        WHERE c.status IN ('awaiting_payment', 'provisioning', 'running', 'stopping')
          AND NOT EXISTS (SELECT 1 FROM tasks AS t WHERE t.kind = 'cluster' AND t.id = c.id)
        UNION ALL
        SELECT 'refund ' || r.id FROM refunds AS r
        WHERE r.status NOT IN ('finalized', 'cancelled') AND NOT EXISTS (SELECT 1 FROM tasks AS t WHERE t.kind = 'refund' AND t.id = r.id)`,
  ],
] as const;

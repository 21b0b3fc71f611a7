import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { Violation } from "./always.ts";
import { NO_FAULTS } from "./faults.ts";
import { checkPromptness } from "./promptness.ts";
import { runSeed, type SeedOptions } from "./run-seed.ts";
import { openStage, type Stage } from "./stage.ts";
import type { World } from "./world.ts";

const SEEDS = 10;
const RENTALS = 4;
/** For a program that hangs: on a busy machine a seed may take ten times what it takes on a quiet one. */
const STORM_TIMEOUT_MS = 900_000;
const FEW_SEEDS_TIMEOUT_MS = 300_000;

vi.setConfig({ testTimeout: FEW_SEEDS_TIMEOUT_MS, hookTimeout: FEW_SEEDS_TIMEOUT_MS });

let stage: Stage & AsyncDisposable;

beforeAll(async () => {
  stage = await openStage();
});

afterAll(async () => {
  await stage[Symbol.asyncDispose]();
});

describe("random rentals in a storm of faults", () => {
  it(
    `end with every rule kept, from ${SEEDS} seeds`,
    async () => {
      const broken: { seed: string; violations: readonly Violation[]; tail: readonly string[] }[] = [];
      for (let seed = 1; seed <= SEEDS; seed++) {
        const { violations, tail } = await runSeed(String(seed), { stage, rentals: RENTALS });
        if (violations.length > 0) broken.push({ seed: String(seed), violations, tail: tail.slice(-30) });
      }
      expect(broken).toEqual([]);
    },
    STORM_TIMEOUT_MS,
  );

  it("are the same down to the last call when the seed is the same", async () => {
    const [one, again, other] = [
      await runSeed("repeated", { stage, rentals: RENTALS }),
      await runSeed("repeated", { stage, rentals: RENTALS }),
      await runSeed("another", { stage, rentals: RENTALS }),
    ];
    expect(again.steps).toBe(one.steps);
    expect(again.traceHash).toBe(one.traceHash);
    expect(other.traceHash).not.toBe(one.traceHash);
  });
});

/** Runs rentals without any fault but the one that is planted, once something is there that it can touch. */
async function rulesBrokenBy(plant: (world: World) => Promise<boolean>, options: Partial<SeedOptions> = {}) {
  let isPlanted = false;
  const { violations } = await runSeed("sabotage", {
    stage,
    rentals: 3,
    faults: NO_FAULTS,
    sabotage: async (world) => {
      if (!isPlanted && !world.database.isBusy) isPlanted = await plant(world);
    },
    ...options,
  });
  expect(isPlanted).toBe(true);
  return [...new Set(violations.map(({ rule }) => rule))];
}

it("undoes a launch that arrives when its machine has long been given back", async () => {
  let launched: string | null = null;
  const { violations } = await runSeed("late launch", {
    stage,
    rentals: 3,
    faults: NO_FAULTS,
    sabotage: async ({ database, cloud }) => {
      if (launched !== null || database.isBusy) return;
      const [lease] = await database.direct<{ id: string; node_id: string; cluster_id: string; rank: number }[]>`
        SELECT leases.id, node_id, cluster_id, rank FROM leases JOIN nodes ON nodes.id = node_id
        WHERE adapter = 'simulated' AND desired = 'stopped' AND released_at IS NOT NULL LIMIT 1`;
      if (lease === undefined) return;
      const { id: leaseId, node_id: nodeId, cluster_id: clusterId, rank } = lease;
      await cloud.launch([{ leaseId, nodeId, clusterId, rank }]);
      launched = leaseId;
    },
  });
  expect(launched).not.toBeNull();
  expect(violations).toEqual([]);
});

describe("the simulation sees", () => {
  it("nothing where nothing is wrong", async () => {
    const { violations, outcomes } = await runSeed("sabotage", { stage, rentals: 3, faults: NO_FAULTS });
    expect(violations).toEqual([]);
    expect(outcomes).toHaveLength(3);
  });

  it("a machine that a supplier has started for nobody", async () => {
    const broken = await rulesBrokenBy(async (world) => {
      const [node] = world.nodes;
      if (node === undefined) return false;
      world.machines.create("ls_nobody", node.id);
      return true;
    });
    expect(broken).toContain("no machine runs without a live lease");
  });

  it("an amount in the ledger that was changed", async () => {
    const broken = await rulesBrokenBy(async ({ database }) => {
      const changed = await database.direct`
        UPDATE transfers SET amount_micro_usdc = amount_micro_usdc + 1 WHERE id IN (
          SELECT id FROM transfers WHERE kind = 'posted' AND debit_account LIKE 'escrow:%' LIMIT 1) RETURNING id`;
      return changed.length > 0;
    });
    expect(broken).toContain("every account's balance is the sum of its transfers");
  });

  it("capacity that was given away while a lease has it", async () => {
    const broken = await rulesBrokenBy(async ({ database }) => {
      const changed = await database.direct`
        UPDATE nodes SET gpus_free = gpus_free + 1 WHERE gpus_free < gpus_total RETURNING id`;
      return changed.length > 0;
    });
    expect(broken).toContain("free capacity is what no lease has");
  });

  it("a task that was lost", async () => {
    const broken = await rulesBrokenBy(async ({ database }) => {
      const lost = await database.direct`DELETE FROM tasks WHERE kind = 'cluster' RETURNING id`;
      return lost.length > 0;
    });
    expect(broken).toContain("whatever is not finished will be looked at");
  });

  it("a refund that was sent twice", async () => {
    const broken = await rulesBrokenBy(async (world) => {
      const [refund] = await world.database.direct<{ id: string; to_address: string; amount: string }[]>`
        SELECT id, to_address, amount_micro_usdc::text AS amount FROM refunds WHERE status = 'finalized' ORDER BY amount_micro_usdc LIMIT 1`;
      if (refund === undefined) return false;
      const chain = world.chain.now;
      const { transactionBase64 } = await stage.signer.signRefund({
        refundId: refund.id,
        to: refund.to_address,
        amountMicroUsdc: BigInt(refund.amount),
        blockhash: chain.state.blockhash(chain.slot),
        lastValidBlockHeight: 0n,
      });
      // It fails as long as the treasury holds no more than is due to others.
      const record = chain.submit(Buffer.from(transactionBase64, "base64"));
      return record !== null && record.execution.err === null;
    });
    expect(broken).toContain("nothing leaves the treasury but refunds, each once");
  });

  it("a refund that is overdue while no alarm tells of it", async () => {
    const broken = await rulesBrokenBy(async (world) => {
      const late = await world.database.direct`
        UPDATE refunds SET created_at = created_at - 7200000, not_before = not_before - 7200000
        WHERE status NOT IN ('finalized', 'cancelled') RETURNING id`;
      if (late.length === 0) return false;
      await world.database.direct`INSERT INTO alarms VALUES ('outbound_overdue', 'a test', false, 0, 0)`;
      await checkPromptness(world);
      expect(world.violations).toEqual([]);
      await world.database.direct`DELETE FROM alarms`;
      await checkPromptness(world);
      return true;
    });
    expect(broken).toEqual(["what is overdue has an alarm"]);
  });

  it("a payment that was credited to somebody else", async () => {
    const broken = await rulesBrokenBy(async ({ database }) => {
      const moved = await database.direct`
        UPDATE inbound_transfers SET payment_id = NULL WHERE signature IN (
          SELECT signature FROM inbound_transfers WHERE payment_id IS NOT NULL LIMIT 1) RETURNING signature`;
      return moved.length > 0;
    });
    expect(broken).toContain("what a payment has received is what arrived for it");
  });
});

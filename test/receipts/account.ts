/** Accounts that have signed in and have money, straight into the database. */
import { createHash, randomBytes } from "node:crypto";
import type { Id } from "@volley/schema/ids";
import { reserveCluster } from "../../api/clusters/reserve.ts";
import { newId } from "../../api/context.ts";
import { customers, sessions } from "../../api/db/tables.ts";
import { CHAIN_ACCOUNT, customerAccount, openAccount } from "../../api/ledger/accounts.ts";
import { post } from "../../api/ledger/post.ts";
import type { World } from "../clusters/world.ts";

export interface TestAccount {
  readonly id: string;
  /** The session's token. */
  readonly secret: string;
}

export async function accountWith(world: World, microUsdc: bigint): Promise<TestAccount> {
  const ctx = world.system();
  const id = newId(ctx, "account");
  const secret = randomBytes(16).toString("hex");
  const nowMs = world.clock.nowMs();
  await world.db.insert(customers).values({ id, wallet: randomBytes(16).toString("hex"), createdAt: nowMs });
  const tokenHash = createHash("sha256").update(secret).digest("hex");
  await world.db
    .insert(sessions)
    .values({ tokenHash, customerId: id, createdAt: nowMs, expiresAt: nowMs + 1_000_000_000 });
  await world.db.transaction(async (tx) => {
    await openAccount(ctx, tx, CHAIN_ACCOUNT, "chain");
    await openAccount(ctx, tx, customerAccount(id), "customer");
    const debit = { debit: CHAIN_ACCOUNT, credit: customerAccount(id), amountMicroUsdc: microUsdc };
    if (microUsdc > 0n) await post(ctx, tx, { ...debit, reason: "test", reference: id });
  });
  return { id, secret };
}

type Input = Parameters<typeof reserveCluster>[1];

/** Reserves as the account, whose session then opens the cluster in place of a secret of its own. */
export async function reserveAs(world: World, account: TestAccount, nodeId: Id<"node">, parts: Partial<Input> = {}) {
  const ctx = world.holder(account, { idempotencyKey: randomBytes(8).toString("hex") });
  const input = world.input(world.quote({ nodeIds: [nodeId] }), parts);
  return { ...(await reserveCluster(ctx, input)), secret: account.secret };
}

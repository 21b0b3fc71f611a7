import { reconcileCluster } from "../clusters/reconcile-cluster.ts";
import { purgeKeys } from "../idempotency/purge-keys.ts";
import { auditContinuously } from "../ledger/audit-continuously.ts";
import { reconcileCard } from "../payments/cards/reconcile-card.ts";
import { sweepTreasury } from "../payments/inbound/sweep-treasury.ts";
import { watchPayment } from "../payments/inbound/watch-payment.ts";
import { paySuppliers } from "../payments/payouts/pay-suppliers.ts";
import { issueReceipts } from "../receipts/issue-receipts.ts";
import { sweepNodes } from "../supply/sweep-nodes.ts";
import type { TaskHandlers } from "./engine.ts";

/** Which step follows which kind of task. Whatever needs a key that spends is in `api/treasury/handlers.ts`. */
export const TASK_HANDLERS: TaskHandlers = {
  cluster: reconcileCluster,
  payment: watchPayment,
  card: reconcileCard,
  treasury: sweepTreasury,
  nodes: sweepNodes,
  audit: auditContinuously,
  receipts: issueReceipts,
  payouts: paySuppliers,
  keys: purgeKeys,
};

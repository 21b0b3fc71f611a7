/** The registry: every operation that Volley offers, on every face. */
import * as accounts from "./accounts.ts";
import * as clusters from "./clusters.ts";
import * as market from "./market.ts";
import * as nodes from "./nodes.ts";
import * as payments from "./payments.ts";
import * as receipts from "./receipts.ts";

export const OPERATIONS = {
  "gpus.list": market.gpusList,
  "offers.list": market.offersList,
  "network.get": market.networkGet,
  "quotes.create": market.quotesCreate,
  "quotes.get": market.quotesGet,
  "clusters.reserve": clusters.clustersReserve,
  "clusters.get": clusters.clustersGet,
  "clusters.list": clusters.clustersList,
  "clusters.extend": clusters.clustersExtend,
  "clusters.teardown": clusters.clustersTeardown,
  "clusters.exec": clusters.clustersExec,
  "clusters.logs": clusters.clustersLogs,
  "clusters.events": clusters.clustersEvents,
  "payments.get": payments.paymentsGet,
  "payments.request_info": payments.paymentsRequestInfo,
  "payments.transaction": payments.paymentsTransaction,
  "payments.list": payments.paymentsList,
  "refunds.create": payments.refundsCreate,
  "refunds.get": payments.refundsGet,
  "refunds.list": payments.refundsList,
  "refunds.cancel": payments.refundsCancel,
  "payouts.list": payments.payoutsList,
  "auth.challenge": accounts.authChallenge,
  "auth.session": accounts.authSession,
  "auth.end": accounts.authEnd,
  "account.get": accounts.accountGet,
  "receipts.get": receipts.receiptsGet,
  "receipts.list": receipts.receiptsList,
  "balance.get": accounts.balanceGet,
  "topups.create": accounts.topupsCreate,
  "unallocated.list": accounts.unallocatedList,
  "unallocated.claim": accounts.unallocatedClaim,
  "transfers.list": accounts.transfersList,
  "nodes.enrol": nodes.nodesEnrol,
  "nodes.get": nodes.nodesGet,
  "nodes.heartbeat": nodes.nodesHeartbeat,
  "nodes.assignments": nodes.nodesAssignments,
  "nodes.report": nodes.nodesReport,
} as const;

export type Operations = typeof OPERATIONS;
export type OperationId = keyof Operations;

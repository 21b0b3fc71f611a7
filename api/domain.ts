/** All that the faces need of the domains, in one place: which verb answers which operation, and how a graph loads. */

import { streamEvents } from "./clusters/events.ts";
import { execInCluster } from "./clusters/exec.ts";
import { extendCluster } from "./clusters/extend.ts";
import { getCluster } from "./clusters/get-cluster.ts";
import { clusterCursor, listClusters } from "./clusters/list-clusters.ts";
import { loadClusterQuotes, loadClusters } from "./clusters/load-clusters.ts";
import { eventCursor, loadClusterEvents } from "./clusters/load-events.ts";
import { loadClusterPayments } from "./clusters/load-payments.ts";
import { streamLogs } from "./clusters/logs.ts";
import { reserveCluster } from "./clusters/reserve.ts";
import { teardownCluster } from "./clusters/teardown.ts";
import { createChallenge } from "./identity/create-challenge.ts";
import { createSession } from "./identity/create-session.ts";
import { endSession } from "./identity/end-session.ts";
import { getAccount } from "./identity/get-account.ts";
import { createQuote } from "./market/create-quote.ts";
import { getNetwork } from "./market/get-network.ts";
import { getQuote } from "./market/get-quote.ts";
import { gpuCursor, listGpus } from "./market/list-gpus.ts";
import { listOffers, offerCursor } from "./market/list-offers.ts";
import { getBalance } from "./payments/balance/get-balance.ts";
import { listTransfers, transferCursor } from "./payments/balance/list-transfers.ts";
import { receiveCardNotice } from "./payments/cards/receive-card-notice.ts";
import { createTopup } from "./payments/create-topup.ts";
import { getPayment } from "./payments/get-payment.ts";
import { listPayments, paymentCursor } from "./payments/list-payments.ts";
import { listPayouts, payoutCursor } from "./payments/payouts/list-payouts.ts";
import { cancelRefund } from "./payments/refunds/cancel-refund.ts";
import { createRefund } from "./payments/refunds/create-refund.ts";
import { getRefund } from "./payments/refunds/get-refund.ts";
import { listRefunds, refundCursor } from "./payments/refunds/list-refunds.ts";
import { createPaymentTransaction } from "./payments/solana-pay/create-transaction.ts";
import { getRequestInfo } from "./payments/solana-pay/get-request-info.ts";
import { claimUnallocated } from "./payments/unallocated/claim-unallocated.ts";
import { listUnallocated, unallocatedCursor } from "./payments/unallocated/list-unallocated.ts";
import { getReceipt } from "./receipts/get-receipt.ts";
import { listReceipts, receiptCursor } from "./receipts/list-receipts.ts";
import { loadClusterReceipts } from "./receipts/load-cluster-receipts.ts";
import { enrolNode } from "./supply/enrol-node.ts";
import { getAssignments } from "./supply/get-assignments.ts";
import { getNode } from "./supply/get-node.ts";
import { heartbeatNode } from "./supply/heartbeat-node.ts";
import { loadNodes } from "./supply/load-nodes.ts";
import { loadSuppliers } from "./supply/load-suppliers.ts";
import { reportNode } from "./supply/report-node.ts";
import { verifyNodeProof } from "./supply/verify-node-proof.ts";
import type { Domain } from "./verbs.ts";

export const DOMAIN: Domain = {
  verbs: {
    "gpus.list": listGpus,
    "offers.list": listOffers,
    "network.get": getNetwork,
    "quotes.create": createQuote,
    "quotes.get": getQuote,
    "clusters.reserve": reserveCluster,
    "clusters.get": getCluster,
    "clusters.list": listClusters,
    "clusters.extend": extendCluster,
    "clusters.teardown": teardownCluster,
    "clusters.exec": execInCluster,
    "clusters.logs": streamLogs,
    "clusters.events": streamEvents,
    "payments.get": getPayment,
    "payments.request_info": getRequestInfo,
    "payments.transaction": createPaymentTransaction,
    "payments.list": listPayments,
    "refunds.create": createRefund,
    "refunds.get": getRefund,
    "refunds.list": listRefunds,
    "refunds.cancel": cancelRefund,
    "payouts.list": listPayouts,
    "auth.challenge": createChallenge,
    "auth.session": createSession,
    "auth.end": endSession,
    "account.get": getAccount,
    "receipts.get": getReceipt,
    "receipts.list": listReceipts,
    "balance.get": getBalance,
    "topups.create": createTopup,
    "unallocated.list": listUnallocated,
    "unallocated.claim": claimUnallocated,
    "transfers.list": listTransfers,
    "nodes.enrol": enrolNode,
    "nodes.get": getNode,
    "nodes.heartbeat": heartbeatNode,
    "nodes.assignments": getAssignments,
    "nodes.report": reportNode,
  },
  loaders: {
    clusters: loadClusters,
    clusterQuotes: loadClusterQuotes,
    clusterPayments: loadClusterPayments,
    clusterEvents: loadClusterEvents,
    clusterReceipts: loadClusterReceipts,
    nodes: loadNodes,
    suppliers: loadSuppliers,
  },
  cursors: {
    "gpus.list": gpuCursor,
    "offers.list": offerCursor,
    "clusters.list": clusterCursor,
    "receipts.list": receiptCursor,
    "payments.list": paymentCursor,
    "unallocated.list": unallocatedCursor,
    "transfers.list": transferCursor,
    "refunds.list": refundCursor,
    "payouts.list": payoutCursor,
    events: eventCursor,
  },
  receiveCardNotice,
  authenticateNode: verifyNodeProof,
};

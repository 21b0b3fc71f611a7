/** What a graph adds to the operations: the ways from one object to others. */
import {
  type Cluster,
  type ClusterNode,
  clusterNodeSchema,
  clusterSchema,
  type Event,
  eventSchema,
  type Node,
  nodeSchema,
  outputSchema,
  type Payment,
  paymentSchema,
  quoteSchema,
  type Receipt,
  type Refund,
  receiptSchema,
  refundSchema,
  supplierSchema,
} from "@volley/schema";
import { PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX } from "@volley/schema/pages";
import { FieldResolver, Resolver } from "type-graphql";
import { inputError } from "../parse-input.ts";
import { bridgeObject } from "./bridge.ts";
import { connectionOf, pageArguments, pageComplexity, toConnection } from "./connection.ts";
import { type ArgumentOptions, type ClassType, defineProperty, defineResolver } from "./fields.ts";
import type { GraphContext } from "./graph-context.ts";

const output = (schema: Parameters<typeof bridgeObject>[0], name: string) =>
  bridgeObject(schema, "output", name).target;
const cluster = output(clusterSchema, "Cluster");
const clusterNode = output(clusterNodeSchema, "ClusterNode");
const event = output(eventSchema, "Event");
const node = output(nodeSchema, "Node");
const outputChunk = output(outputSchema, "Output");
const payment = output(paymentSchema, "Payment");
const quote = output(quoteSchema, "Quote");
const receipt = output(receiptSchema, "Receipt");
const refund = output(refundSchema, "Refund");
const supplier = output(supplierSchema, "Supplier");
const events = connectionOf(event);

export const relationResolvers: ClassType[] = [];

interface Relation<Parent> {
  readonly field: string;
  readonly type: () => unknown;
  readonly args?: readonly ArgumentOptions[];
  readonly complexity?: typeof pageComplexity;
  readonly resolve: (parent: Parent, context: GraphContext, args: Readonly<Record<string, unknown>>) => unknown;
}

function relate<Parent>(parent: ClassType, relations: readonly Relation<Parent>[]): void {
  const name = `${parent.name}Relations`;
  const target = { [name]: class {} }[name] as ClassType;
  Resolver(() => parent as never)(target);
  for (const { field, type, args = [], complexity, resolve } of relations) {
    const prototype = defineResolver(target, field, args, ({ root, args: given, context }) =>
      resolve(root as Parent, context, given),
    );
    const options = { nullable: true, ...(complexity === undefined ? {} : { complexity }) };
    FieldResolver(type as never, options)(prototype as never, field, {});
  }
  relationResolvers.push(target);
}

relate<Cluster>(cluster, [
  {
    field: "quote",
    type: () => quote,
    resolve: ({ id }, context) => context.load("Cluster.quote", "quotes", context.domain.loaders.clusterQuotes, id),
  },
  {
    field: "payments",
    type: () => [payment],
    resolve: ({ id }, context) =>
      context.load("Cluster.payments", "payments", context.domain.loaders.clusterPayments, id),
  },
  {
    field: "receipt",
    type: () => receipt,
    resolve: ({ id }, context) =>
      context.load("Cluster.receipt", "receipts", context.domain.loaders.clusterReceipts, id),
  },
  {
    field: "events",
    type: () => events,
    args: pageArguments,
    complexity: pageComplexity,
    resolve: clusterEvents,
  },
]);

relate<ClusterNode>(clusterNode, [
  { field: "node", type: () => node, resolve: ({ node_id: id }, context) => loadNode(context, id) },
  {
    field: "supplier",
    type: () => supplier,
    resolve: async ({ node_id: id }, context) => {
      const found = await loadNode(context, id);
      return found === undefined ? null : loadSupplier(context, found.supplier_id);
    },
  },
]);

relate<Node>(node, [
  { field: "supplier", type: () => supplier, resolve: ({ supplier_id: id }, context) => loadSupplier(context, id) },
]);

/** Who sees a payment or a refund holds its cluster's secret. */
relate<Payment>(payment, [
  { field: "cluster", type: () => cluster, resolve: ({ cluster_id: id }, context) => loadCluster(context, id) },
]);
relate<Refund>(refund, [
  { field: "cluster", type: () => cluster, resolve: ({ cluster_id: id }, context) => loadCluster(context, id) },
]);

relate<Receipt>(receipt, [
  { field: "cluster", type: () => cluster, resolve: ({ cluster_id: id }, context) => loadCluster(context, id) },
]);

const cursorOptions = {
  nullable: true,
  description: "In a subscription: pass it as `lastEventId` to resume after this.",
};
defineProperty(outputChunk, "cursor", () => String, cursorOptions);
defineProperty(event, "cursor", () => String, cursorOptions);

const loadNode = (context: GraphContext, id: string) =>
  context.load("ClusterNode.node", "nodes", context.domain.loaders.nodes, id);
const loadSupplier = (context: GraphContext, id: string) =>
  context.load("Node.supplier", "suppliers", context.domain.loaders.suppliers, id);
const loadCluster = (context: GraphContext, id: string | null) =>
  id === null ? null : context.load("Payment.cluster", "clusters", context.domain.loaders.clusters, id);

function clusterEvents(
  { id }: Cluster,
  context: GraphContext,
  args: Readonly<Record<string, unknown>>,
): Promise<unknown> {
  const label = "Cluster.events";
  const limit = typeof args.first === "number" ? args.first : PAGE_LIMIT_DEFAULT;
  const after = typeof args.after === "string" ? args.after : null;
  return context.guard(label, async () => {
    if (limit < 1 || limit > PAGE_LIMIT_MAX) {
      const message = `must be from 1 to ${PAGE_LIMIT_MAX}`;
      throw inputError([{ pointer: "/first", code: "invalid_field", message }]);
    }
    const { clusterEvents: load } = context.domain.loaders;
    const page = await context.load(
      label,
      `events ${limit} ${after}`,
      (ctx, ids) => load(ctx, ids, { limit, after }),
      id,
    );
    return page === undefined ? null : toConnection<Event>(page, context.domain.cursors.events, after);
  });
}

/** Which verb answers which operation. The faces know verbs only through this table. */
import type {
  Cluster,
  Event,
  InputOf,
  Node,
  OperationId,
  Operations,
  OutputOf,
  Payment,
  Quote,
  Receipt,
  Supplier,
} from "@volley/schema";
import type { NodeProof } from "@volley/schema/node-signature";
import type { Actor, Context, Services } from "./context.ts";

/** One event of a stream, with the id after which it can be resumed. */
export interface Streamed<Data> {
  readonly id: string;
  readonly data: Data;
}

/** The operations that declare `stream`. */
export type StreamOperationId = "clusters.exec" | "clusters.logs" | "clusters.events";

export type Verb<Id extends OperationId> = (
  ctx: Context,
  input: InputOf<Operations[Id]>,
) => Id extends StreamOperationId
  ? AsyncGenerator<Streamed<OutputOf<Operations[Id]>>>
  : Promise<OutputOf<Operations[Id]>>;

export type Verbs = { readonly [Id in OperationId]: Verb<Id> };

/** A verb of whichever operation, for code that is the same for all. */
export type AnyVerb = (ctx: Context, input: unknown) => Promise<object> | AsyncGenerator<Streamed<object>>;

/** Many objects of one kind by the ids of others, in a number of statements that doesn't depend on how many there are. */
export type Load<Value> = (ctx: Context, ids: readonly string[]) => Promise<ReadonlyMap<string, Value>>;

/** What a graph has more than single operations: the ways from one object to others. */
export interface Loaders {
  readonly clusters: Load<Cluster>;
  /** The quote that a cluster was reserved with, by the cluster's id. */
  readonly clusterQuotes: Load<Quote>;
  readonly clusterPayments: Load<readonly Payment[]>;
  /** The first `limit` events after a position, by the cluster's id. */
  readonly clusterEvents: (
    ctx: Context,
    ids: readonly string[],
    page: { readonly limit: number; readonly after: string | null },
  ) => Promise<ReadonlyMap<string, EventPage>>;
  /** The receipt of an ended cluster, by the cluster's id. */
  readonly clusterReceipts: Load<Receipt>;
  readonly nodes: Load<Node>;
  readonly suppliers: Load<Supplier>;
}

export interface EventPage {
  readonly data: readonly Event[];
  readonly next_cursor: string | null;
}

/** The operations that answer with pages. */
export type ListOperationId =
  | "gpus.list"
  | "offers.list"
  | "clusters.list"
  | "receipts.list"
  | "payments.list"
  | "unallocated.list"
  | "transfers.list"
  | "refunds.list"
  | "payouts.list";
type ItemOf<Id extends ListOperationId> = OutputOf<Operations[Id]>["data"][number];
/** The cursor of one item, equal to `next_cursor` where the item ends a page. */
export type Cursors = { readonly [Id in ListOperationId]: (item: ItemOf<Id>) => string } & {
  readonly events: (event: Event) => string;
};

/** What of a request a node signs. */
export interface SignedRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  /** Lower-case hex. */
  readonly bodySha256: string;
}

/** All that the faces need of the domains. */
export interface Domain {
  readonly verbs: Verbs;
  readonly loaders: Loaders;
  readonly cursors: Cursors;
  /** @throws {VolleyError} `rail_unavailable`, `webhook_signature_invalid` */
  readonly receiveCardNotice: (services: Services, body: Uint8Array, signature: string) => Promise<void>;
  /** @throws {VolleyError} `node_signature_invalid` */
  readonly authenticateNode: (services: Services, proof: NodeProof, request: SignedRequest) => Promise<Actor>;
}

/** Which verb answers which operation. The faces know verbs only through this table. */
import type { InputOf, OperationId, Operations, OutputOf } from "@volley/schema";
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
  /** @throws {VolleyError} `node_signature_invalid` */
  readonly authenticateNode: (services: Services, proof: NodeProof, request: SignedRequest) => Promise<Actor>;
}

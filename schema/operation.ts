/** What one operation of the contract declares. Every face is derived from these declarations. */
import type { z } from "zod";
import type { ErrorCode } from "./errors.ts";

export type Method = "GET" | "POST" | "DELETE";

/**
 * Who may call:
 * - `none`: anyone;
 * - `holder`: whoever holds the cluster's capability secret or has signed in with the account that owns the object;
 *   anyone else gets `not_found`;
 * - `account`: whoever has signed in;
 * - `node`: the machine itself, by signature.
 */
export type Scope = "none" | "holder" | "account" | "node";

/** Whether the operation takes an Idempotency-Key. `required` where money moves. */
export type Idempotency = "none" | "optional" | "required";

export type RateLimitClass = "read" | "quote" | "write" | "stream" | "node";

export interface Operation<
  Id extends string = string,
  Input extends z.ZodObject = z.ZodObject,
  Output extends z.ZodObject = z.ZodObject,
> {
  /** `resource.verb`; also the OpenAPI operationId and the SDK method path. */
  readonly id: Id;
  readonly summary: string;
  readonly method: Method;
  /** Path with `{name}` parameters, each of which is a field of the input. */
  readonly path: `/v1/${string}`;
  readonly graphql: { readonly kind: "query" | "mutation" | "subscription"; readonly field: string };
  /** Path parameters by name; the rest is the query of a GET or DELETE and the JSON body of a POST. */
  readonly input: Input;
  /** The answer; for a stream, one event of it. */
  readonly output: Output;
  /** Server-sent events instead of one JSON answer: the field that names the SSE event type. */
  readonly stream?: { readonly eventField: string };
  /** Status of success; 200 unless something is created. */
  readonly status?: 200 | 201;
  readonly errors: readonly ErrorCode[];
  readonly scope: Scope;
  readonly idempotency: Idempotency;
  readonly rateLimit: RateLimitClass;
}

export function defineOperation<const Id extends string, Input extends z.ZodObject, Output extends z.ZodObject>(
  operation: Operation<Id, Input, Output>,
): Operation<Id, Input, Output> {
  return operation;
}

/** Path parameter names of an operation, in order. */
export function pathParameters(path: string): string[] {
  return [...path.matchAll(/\{([a-z_]+)\}/g)].map((match) => match[1] ?? "");
}

/** What a verb receives: the parsed input. */
export type InputOf<Op> = Op extends Operation<string, infer Input, z.ZodObject> ? z.output<Input> : never;
/** What a caller may send. */
export type RequestOf<Op> = Op extends Operation<string, infer Input, z.ZodObject> ? z.input<Input> : never;
export type OutputOf<Op> = Op extends Operation<string, z.ZodObject, infer Output> ? z.output<Output> : never;

/** What resolvers share within one request: the call, the domains, and one DataLoader per kind of relation. */
import { OPERATIONS, type OperationId } from "@volley/schema";
import { toCamelCaseKeys } from "@volley/schema/casing";
import { ERROR_TYPE_BASE, type Problem, VolleyError } from "@volley/schema/errors";
import type { Operation } from "@volley/schema/operation";
import DataLoader from "dataloader";
import { GraphQLError } from "graphql";
import type { Context } from "../../context.ts";
import type { AnyVerb, Domain, Load, Streamed } from "../../verbs.ts";
import { reportProblem } from "../answer.ts";
import { type Call, contextOfReader, enter } from "../call.ts";

/** Ids that one statement looks up at most. */
const BATCH_MAX = 100;

export class GraphContext {
  readonly call: Call;
  readonly domain: Domain;
  /** Aborted when the reader of a stream has gone. */
  readonly signal: AbortSignal | null;
  /** Not `#private`: Apollo Server hands resolvers a copy of the context. */
  private readonly loaders = new Map<unknown, DataLoader<string, unknown>>();
  private reader: Context | undefined;

  constructor(call: Call, domain: Domain, signal: AbortSignal | null = null) {
    this.call = call;
    this.domain = domain;
    this.signal = signal;
  }

  /** Runs an operation as REST would: one root field is one request. */
  async run(id: OperationId, raw: unknown): Promise<object> {
    return this.guard(id, async () => {
      const operation: Operation = OPERATIONS[id];
      const { ctx, input } = await enter(this.call, operation, raw);
      return (this.domain.verbs[id] as AnyVerb)(ctx, input) as Promise<object>;
    });
  }

  /** Begins a stream, as REST would. */
  async *stream(id: OperationId, raw: unknown): AsyncGenerator<Streamed<object>> {
    const operation: Operation = OPERATIONS[id];
    try {
      if (operation.method === "POST" && this.call.method === "GET") {
        throw new VolleyError("method_not_allowed", "This has effects, so it is not begun by GET.", {
          extensions: { allowed: ["POST"] },
        });
      }
      const { ctx, input } = await enter(this.call, operation, raw, this.signal);
      yield* (this.domain.verbs[id] as AnyVerb)(ctx, input) as AsyncGenerator<Streamed<object>>;
    } catch (error) {
      throw this.error(id, error);
    }
  }

  /** The related object; all that are asked for in one go are fetched together. */
  load<Value>(label: string, key: string, load: Load<Value>, id: string): Promise<Value | undefined> {
    const known = this.loaders.get(key) as DataLoader<string, Value | undefined> | undefined;
    const loader =
      known ??
      new DataLoader<string, Value | undefined>(
        (ids) =>
          this.guard(label, async () => {
            this.reader ??= contextOfReader(this.call);
            const found = await load(this.reader, ids);
            return ids.map((one) => found.get(one));
          }),
        { maxBatchSize: BATCH_MAX },
      );
    if (known === undefined) this.loaders.set(key, loader);
    return loader.load(id);
  }

  async guard<Result>(label: string, work: () => Promise<Result>): Promise<Result> {
    try {
      return await work();
    } catch (error) {
      throw error instanceof GraphQLError ? error : this.error(label, error);
    }
  }

  error(label: string, error: unknown): GraphQLError {
    return problemError(reportProblem(this.call, error, label));
  }
}

/** A problem as a GraphQL error: the same registry, the same members, under the names of this face. */
export function problemError(problem: Problem): GraphQLError {
  return new GraphQLError(problem.detail, { extensions: problemExtensions(problem) });
}

export function problemExtensions(problem: Problem): Record<string, unknown> {
  return toCamelCaseKeys(problem) as Record<string, unknown>;
}

/** Whether an error already carries the registry's members. */
export function isProblemExtensions(extensions: unknown): boolean {
  return (
    typeof extensions === "object" &&
    extensions !== null &&
    "type" in extensions &&
    typeof extensions.type === "string" &&
    extensions.type.startsWith(ERROR_TYPE_BASE)
  );
}

/**
 * GraphQL over server-sent events, distinct connections mode (the protocol of graphql-sse): each result is an event
 * `next`, then comes `complete`. It goes through the event stream of REST, which holds a source back when its reader
 * is slow; the server part of graphql-sse would queue results without bound.
 */

import { toProblem, VolleyError } from "@volley/schema/errors";
import {
  type ExecutionResult,
  execute,
  GraphQLError,
  getOperationAST,
  NoSchemaIntrospectionCustomRule,
  OperationTypeNode,
  parse,
  specifiedRules,
  subscribe,
  validate,
} from "graphql";
import type { Answer } from "../answer.ts";
import type { Call } from "../call.ts";
import { EVENT_STREAM_HEADERS, eventStream, type StreamMessage } from "../event-stream.ts";
import type { GraphqlOptions } from "./apollo.ts";
import { GraphContext } from "./graph-context.ts";
import { formatGraphqlError } from "./graphql-errors.ts";
import { checkComplexity, limitsRule, TOKENS_MAX, VALIDATION_ERRORS_MAX } from "./limits.ts";
import { graphqlSchema } from "./schema.ts";

/** Runs any operation, answering with a stream of results. @param body the parsed JSON body of a POST */
export type GraphqlStream = (call: Call, body: unknown) => Promise<Answer>;

interface Parameters {
  readonly query: string;
  readonly operationName: string | null;
  readonly variables: Readonly<Record<string, unknown>> | null;
}

export function graphqlStream({ domain, introspection }: GraphqlOptions): GraphqlStream {
  const rules = [...specifiedRules, limitsRule, ...(introspection ? [] : [NoSchemaIntrospectionCustomRule])];

  const begin = async (context: GraphContext, { query, operationName, variables }: Parameters) => {
    const document = parse(query, { maxTokens: TOKENS_MAX });
    const faults = validate(graphqlSchema, document, rules, { maxErrors: VALIDATION_ERRORS_MAX });
    if (faults.length > 0) return { errors: faults.map((fault) => coded(fault, "GRAPHQL_VALIDATION_FAILED")) };
    const operation = getOperationAST(document, operationName);
    if (!operation) return { errors: [refusal("The document has no operation of that name.")] };
    if (operation.operation === OperationTypeNode.MUTATION && context.call.method === "GET") {
      return { errors: [refusal("Mutations are not run by GET.")] };
    }
    checkComplexity(graphqlSchema, document, operationName ?? undefined, variables ?? {});
    const given = { schema: graphqlSchema, document, contextValue: context, variableValues: variables, operationName };
    return operation.operation === OperationTypeNode.SUBSCRIPTION ? subscribe(given) : execute(given);
  };

  async function* results(context: GraphContext, parameters: Parameters): AsyncGenerator<StreamMessage> {
    const next = ({ errors, ...result }: ExecutionResult): StreamMessage => {
      const formatted = errors?.map((error) => formatGraphqlError(context.call, error.toJSON()));
      return {
        event: "next",
        data: JSON.stringify({ ...(formatted === undefined ? {} : { errors: formatted }), ...result }),
      };
    };
    try {
      const result = await begin(context, parameters);
      if (Symbol.asyncIterator in result) for await (const part of result) yield next(part);
      else yield next(result);
    } catch (error) {
      if (context.signal?.aborted) return;
      const known =
        error instanceof GraphQLError ? coded(error, "GRAPHQL_PARSE_FAILED") : context.error("graphql", error);
      yield next({ errors: [known] });
    }
    yield { event: "complete", data: "" };
  }

  return async (call, body) => {
    const gone = new AbortController();
    const source = results(new GraphContext(call, domain, gone.signal), parametersOf(call, body));
    const stream = await eventStream(source, {
      clock: call.services.clock,
      signal: call.signal,
      gone,
      onEnd: call.limiter.openStream(call.callerHash),
      onError: (error) => ({ event: "complete", data: JSON.stringify(toProblem(error, call.requestId)) }),
    });
    return { status: 200, body: stream, headers: EVENT_STREAM_HEADERS };
  };
}

const refusal = (message: string) =>
  new GraphQLError(message, { extensions: { code: "OPERATION_RESOLUTION_FAILURE" } });

/** The error with a code, unless it has one. */
function coded(error: GraphQLError, code: string): GraphQLError {
  error.extensions.code ??= code;
  return error;
}

function parametersOf(call: Call, body: unknown): Parameters {
  const given = call.method === "GET" ? searchParameters(call.target) : body;
  const { query, operationName = null, variables = null } = (given ?? {}) as Record<string, unknown>;
  const isMap = variables === null || (typeof variables === "object" && !Array.isArray(variables));
  if (typeof query !== "string" || (operationName !== null && typeof operationName !== "string") || !isMap) {
    throw new VolleyError(
      "graphql_invalid",
      "A request has a text `query`, and may have `operationName` and `variables`.",
      {
        nextAction: "Send them as JSON in a POST, or as search parameters.",
      },
    );
  }
  return { query, operationName, variables: variables as Parameters["variables"] };
}

function searchParameters(target: string): Record<string, unknown> {
  const search = new URL(target, "http://localhost").searchParams;
  const variables = search.get("variables");
  try {
    return {
      query: search.get("query"),
      operationName: search.get("operationName"),
      variables: variables === null ? null : JSON.parse(variables),
    };
  } catch (error) {
    throw new VolleyError("graphql_invalid", "The search parameter `variables` is not JSON.", { cause: error });
  }
}

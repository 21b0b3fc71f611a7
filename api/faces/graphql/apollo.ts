/** Apollo Server without a framework: documents are parsed, checked and kept by it, then run. */
import { ApolloServer, HeaderMap } from "@apollo/server";
import {
  ApolloServerPluginCacheControlDisabled,
  ApolloServerPluginLandingPageDisabled,
} from "@apollo/server/plugin/disabled";
import { VolleyError } from "@volley/schema/errors";
import type { DocumentNode, FormattedExecutionResult } from "graphql";
import type { Domain } from "../../verbs.ts";
import type { Answer } from "../answer.ts";
import type { Call } from "../call.ts";
import { GraphContext } from "./graph-context.ts";
import { formatGraphqlError } from "./graphql-errors.ts";
import { checkComplexity, limitsRule, TOKENS_MAX, VALIDATION_ERRORS_MAX } from "./limits.ts";
import { type PreparedDocuments, preparedDocuments } from "./prepared-documents.ts";
import { graphqlSchema } from "./schema.ts";

const GRAPHQL_RESPONSE_JSON = "application/graphql-response+json";
/** The headers that Apollo Server looks at. */
const READ_HEADERS = ["accept", "content-type", "apollo-require-preflight", "x-apollo-operation-name"];
const quiet = () => undefined;

export interface GraphqlOptions {
  readonly domain: Domain;
  readonly introspection: boolean;
}

/** Runs one request. @param body the parsed JSON body of a POST */
export type GraphqlServer = (call: Call, body: unknown) => Promise<Answer>;

export function graphqlServer({ domain, introspection }: GraphqlOptions): GraphqlServer {
  const prepared = preparedDocuments();
  const server = apolloServer(introspection, prepared);
  return async (call, body) => {
    const contentType = call.method === "POST" ? plainContentType(call.headers.get("accept")) : null;
    if (contentType !== null) {
      const result = await prepared.run(body, () => new GraphContext(call, domain));
      if (result !== null) return toAnswer(call, 200, { "content-type": contentType }, JSON.stringify(result));
    }
    const headers = new HeaderMap();
    for (const name of READ_HEADERS) {
      const value = call.headers.get(name);
      if (value !== null) headers.set(name, value);
    }
    // GraphQL over HTTP, section 6.1: since 2025 this is what a client that names no type gets.
    if (contentType?.startsWith(GRAPHQL_RESPONSE_JSON)) headers.set("accept", GRAPHQL_RESPONSE_JSON);
    const query = call.target.indexOf("?");
    const result = await server.executeHTTPGraphQLRequest({
      httpGraphQLRequest: { method: call.method, headers, search: query === -1 ? "" : call.target.slice(query), body },
      context: () => Promise.resolve(new GraphContext(call, domain)),
    });
    if (result.body.kind !== "complete") throw new VolleyError("internal", "Parts of answers are not sent.");
    return toAnswer(call, result.status ?? 200, Object.fromEntries(result.headers), result.body.string);
  };
}

interface AcceptedRequest {
  readonly operation?: unknown;
  readonly document: DocumentNode;
  readonly source: string;
  readonly request: {
    readonly operationName?: string | undefined;
    readonly variables?: Readonly<Record<string, unknown>> | undefined;
  };
}

function apolloServer(introspection: boolean, prepared: PreparedDocuments): ApolloServer<GraphContext> {
  const checks = {
    async didResolveOperation({ operation, document, request, source }: AcceptedRequest) {
      if (operation === undefined) return;
      const operationName = request.operationName ?? undefined;
      checkComplexity(graphqlSchema, document, operationName, request.variables ?? {});
      prepared.keep(source, document, operationName);
    },
  };
  const server = new ApolloServer<GraphContext>({
    schema: graphqlSchema,
    introspection,
    nodeEnv: "production",
    persistedQueries: false,
    csrfPrevention: true,
    allowBatchedHttpRequests: false,
    includeStacktraceInErrorResponses: false,
    stopOnTerminationSignals: false,
    parseOptions: { maxTokens: TOKENS_MAX },
    validationOptions: { maxErrors: VALIDATION_ERRORS_MAX },
    validationRules: [limitsRule],
    // Refusals are answered with their reason, and failures are logged by the face itself.
    logger: { debug: quiet, info: quiet, warn: quiet, error: quiet },
    plugins: [
      ApolloServerPluginLandingPageDisabled(),
      ApolloServerPluginCacheControlDisabled(),
      { requestDidStart: () => Promise.resolve(checks) },
    ],
  });
  server.startInBackgroundHandlingStartupErrorsByLoggingAndFailingAllRequests();
  return server;
}

/** The content type of the answer, where the request leaves no doubt; otherwise Apollo Server negotiates. */
function plainContentType(accept: string | null): string | null {
  if (accept === null || accept === "*/*" || accept === GRAPHQL_RESPONSE_JSON) {
    return `${GRAPHQL_RESPONSE_JSON}; charset=utf-8`;
  }
  return accept === "application/json" ? "application/json; charset=utf-8" : null;
}

/** Apollo Server puts errors first, so an answer without any is passed on as it is. */
function toAnswer(call: Call, status: number, headers: Record<string, string>, text: string): Answer {
  const { "content-length": _, "cache-control": __, ...kept } = headers;
  if (!text.startsWith('{"errors"')) return { status, body: text, headers: kept };
  const result: FormattedExecutionResult = JSON.parse(text);
  const errors = result.errors?.map((error) => formatGraphqlError(call, error)) ?? [];
  return {
    status: statusOf(status, result, kept["content-type"]),
    body: JSON.stringify({ ...result, errors }),
    headers: kept,
  };
}

/**
 * GraphQL over HTTP, section 6.4.1: with `application/json`, which old clients ask for, a well-formed request is
 * answered 200 whatever became of it. What is no GraphQL request at all keeps its status.
 */
function statusOf(status: number, result: FormattedExecutionResult, contentType = ""): number {
  const isRequestError = result.errors?.every((error) => error.extensions?.code !== "BAD_REQUEST") ?? false;
  return contentType.startsWith("application/json") && status === 400 && isRequestError ? 200 : status;
}

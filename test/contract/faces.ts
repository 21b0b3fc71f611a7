/** One way to call any operation, over each face: inputs and outputs under the contract's names. */
import { OPERATIONS, type OperationId, type Problem } from "@volley/schema";
import { camelCase, toCamelCaseKeys, toSnakeCaseKeys } from "@volley/schema/casing";
import { type Operation, pathParameters } from "@volley/schema/operation";
import { APIError, Volley } from "@volley/sdk";
import { type GraphQLObjectType, type GraphQLOutputType, getNamedType, isObjectType } from "graphql";
import { createClient } from "graphql-sse";
import { graphqlSchema } from "../../api/faces/graphql/schema.ts";

export interface CallOptions {
  /** Bearer credential. */
  readonly secret?: string | undefined;
  readonly idempotencyKey?: string | undefined;
}

/** What came of a call: the output, or the problem. */
export interface Outcome {
  readonly output?: unknown;
  readonly problem?: Problem;
}

export type Input = Readonly<Record<string, unknown>>;

export interface Face {
  readonly name: string;
  call(id: OperationId, input: Input, options?: CallOptions): Promise<Outcome>;
  /** All events of a stream that ends by itself. */
  stream(id: OperationId, input: Input, options?: CallOptions): Promise<Outcome[]>;
}

function headersOf({ secret, idempotencyKey }: CallOptions): Record<string, string> {
  return {
    "content-type": "application/json",
    ...(secret === undefined ? {} : { authorization: `Bearer ${secret}` }),
    ...(idempotencyKey === undefined ? {} : { "idempotency-key": idempotencyKey }),
  };
}

/** The request of an operation, as anyone would write it from the OpenAPI document. */
export function restRequest(id: OperationId, input: Input, options: CallOptions): { path: string; init: RequestInit } {
  const operation: Operation = OPERATIONS[id];
  const names = pathParameters(operation.path);
  const path = operation.path.replace(/\{([a-z_]+)\}/g, (_, name: string) => encodeURIComponent(String(input[name])));
  const rest = Object.entries(input).filter(([name]) => !names.includes(name));
  const headers = headersOf(options);
  if (operation.method === "POST") {
    return { path, init: { method: "POST", headers, body: JSON.stringify(Object.fromEntries(rest)) } };
  }
  const query = new URLSearchParams(rest.map(([name, value]): [string, string] => [name, String(value)]));
  return { path: query.size === 0 ? path : `${path}?${query}`, init: { method: operation.method, headers } };
}

export function restFace(url: string): Face {
  const send = (id: OperationId, input: Input, options: CallOptions) => {
    const { path, init } = restRequest(id, input, options);
    return fetch(`${url}${path}`, init);
  };
  return {
    name: "REST",
    async call(id, input, options = {}) {
      const response = await send(id, input, options);
      const value: unknown = await response.json();
      return response.ok ? { output: value } : { problem: value as Problem };
    },
    async stream(id, input, options = {}) {
      const response = await send(id, input, options);
      if (!response.ok) return [{ problem: (await response.json()) as Problem }];
      const events = (await response.text()).split("\n\n").filter((event) => event.startsWith("event: "));
      return events.map((event): Outcome => {
        const value = JSON.parse(/^data: (.*)$/m.exec(event)?.[1] ?? "");
        return event.startsWith("event: error") ? { problem: value } : { output: value };
      });
    },
  };
}

/** Every field that is no way to another object. */
function selectionOf(type: GraphQLOutputType): string {
  const named = getNamedType(type);
  if (!isObjectType(named)) return "";
  const fields = Object.values((named as GraphQLObjectType).getFields())
    .filter((field) => field.extensions.resolve === undefined && field.name !== "cursor")
    .map((field) => `${field.name}${selectionOf(field.type)}`);
  return ` { ${fields.join(" ")} }`;
}

export interface GraphqlRequest {
  readonly query: string;
  readonly variables: Record<string, unknown>;
}

/** The document of an operation that asks for everything, as anyone would write it from the schema. */
export function graphqlRequest(id: OperationId, input: Input): GraphqlRequest {
  const { graphql, method, path }: Operation = OPERATIONS[id];
  const root = {
    query: graphqlSchema.getQueryType(),
    mutation: graphqlSchema.getMutationType(),
    subscription: graphqlSchema.getSubscriptionType(),
  }[graphql.kind];
  const field = root?.getFields()[graphql.field];
  if (field === undefined) throw new Error(`${id} is not in the GraphQL schema`);
  const given = toCamelCaseKeys(input) as Record<string, unknown>;
  const renamed: Record<string, unknown> = {};
  const body: Record<string, unknown> = {};
  const inPath = pathParameters(path).map(camelCase);
  for (const [name, value] of Object.entries(given)) {
    if (method === "POST" && !inPath.includes(name)) body[name] = value;
    else renamed[{ limit: "first", cursor: "after" }[name] ?? name] = value;
  }
  const variables = method === "POST" ? { ...renamed, input: body } : renamed;
  const used = field.args.filter((arg) => arg.name in variables);
  const definitions = used.map((arg) => `$${arg.name}: ${arg.type}`).join(", ");
  const args = used.map((arg) => `${arg.name}: $${arg.name}`).join(", ");
  const head = definitions === "" ? "" : `(${definitions})`;
  const call = `${graphql.field}${args === "" ? "" : `(${args})`}${selectionOf(field.type)}`;
  return { query: `${graphql.kind}${head} { ${call} }`, variables };
}

interface GraphqlResult {
  readonly data?: Record<string, unknown> | null;
  readonly errors?: readonly { readonly message: string; readonly extensions?: Record<string, unknown> }[];
}

function outcomeOf(id: OperationId, { data, errors }: GraphqlResult): Outcome {
  const [error] = errors ?? [];
  if (error !== undefined) return { problem: toSnakeCaseKeys(error.extensions) as Problem };
  const value = data?.[OPERATIONS[id].graphql.field];
  if (value !== null && typeof value === "object" && "edges" in value && "pageInfo" in value) {
    const { edges, pageInfo } = value as {
      edges: { node: unknown }[];
      pageInfo: { hasNextPage: boolean; endCursor: string | null };
    };
    const nextCursor = pageInfo.hasNextPage ? pageInfo.endCursor : null;
    return { output: toSnakeCaseKeys({ data: edges.map((edge) => edge.node), nextCursor }) };
  }
  return { output: toSnakeCaseKeys(value) };
}

export function graphqlFace(url: string): Face {
  return {
    name: "GraphQL",
    async call(id, input, options = {}) {
      const body = JSON.stringify(graphqlRequest(id, input));
      const response = await fetch(`${url}/graphql`, { method: "POST", headers: headersOf(options), body });
      const value = (await response.json()) as GraphqlResult | Problem;
      return "code" in value ? { problem: value as Problem } : outcomeOf(id, value as GraphqlResult);
    },
    async stream(id, input, options = {}) {
      const { "content-type": _, ...headers } = headersOf(options);
      const client = createClient({ url: `${url}/graphql/stream`, headers, retryAttempts: 0 });
      const outcomes: Outcome[] = [];
      for await (const result of client.iterate(graphqlRequest(id, input))) {
        outcomes.push(outcomeOf(id, result as GraphqlResult));
      }
      client.dispose();
      return outcomes;
    },
  };
}

/** What the SDK wraps in pages and handles, as the operation answered it. */
function plain(value: unknown): unknown {
  const { data, nextCursor, secret } = value as { data?: object; nextCursor?: string | null; secret?: string | null };
  if (data === undefined) return value;
  return nextCursor === undefined ? { ...data, secret } : { data, nextCursor };
}

export function sdkFace(url: string): Face {
  type Method = (...args: unknown[]) => Promise<unknown> & AsyncIterable<unknown>;
  const bound = (id: OperationId, input: Input, { secret, idempotencyKey }: CallOptions) => {
    const client = new Volley({ baseUrl: url, maxRetries: 0, ...(secret === undefined ? {} : { secret }) });
    const [resource = "", verb = ""] = id.split(".");
    const method = (client as unknown as Record<string, Record<string, Method>>)[resource]?.[verb];
    if (method === undefined) throw new Error(`the SDK has no ${id}`);
    const { path } = OPERATIONS[id];
    const inPath = pathParameters(path);
    const rest = Object.fromEntries(Object.entries(input).filter(([name]) => !inPath.includes(name)));
    const hasParams = Object.keys(OPERATIONS[id].input.shape).length > inPath.length;
    const params = hasParams ? [toCamelCaseKeys(rest)] : [];
    const options = idempotencyKey === undefined ? {} : { idempotencyKey };
    return method(...inPath.map((name) => input[name]), ...params, options);
  };
  const problemOf = (error: unknown): Outcome => {
    if (error instanceof APIError && error.problem !== null)
      return { problem: toSnakeCaseKeys(error.problem) as Problem };
    throw error;
  };
  return {
    name: "SDK",
    async call(id, input, options = {}) {
      try {
        return { output: toSnakeCaseKeys(JSON.parse(JSON.stringify(plain(await bound(id, input, options))))) };
      } catch (error) {
        return problemOf(error);
      }
    },
    async stream(id, input, options = {}) {
      const outcomes: Outcome[] = [];
      try {
        for await (const event of bound(id, input, options)) outcomes.push({ output: toSnakeCaseKeys(event) });
      } catch (error) {
        outcomes.push(problemOf(error));
      }
      return outcomes;
    },
  };
}

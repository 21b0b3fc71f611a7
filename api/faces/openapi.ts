/** The OpenAPI 3.1 document, from the registry. Schemas are zod's own JSON Schema 2020-12, which 3.1 embeds as it is. */

import { OPERATIONS } from "@volley/schema";
import { ERRORS, type ErrorCode, problemSchema } from "@volley/schema/errors";
import { type Operation, pathParameters, type Scope } from "@volley/schema/operation";
import { z } from "zod";
import { API_VERSION } from "./version.ts";

type Json = Record<string, unknown>;

/** Errors that any operation can answer, next to those it declares. */
const COMMON_ERRORS: readonly ErrorCode[] = ["invalid_field", "unknown_field", "rate_limited", "internal"];
const BODY_ERRORS: readonly ErrorCode[] = ["malformed_body", "body_too_large", "unsupported_media_type"];

const SECURITY: Readonly<Record<Scope, readonly Json[]>> = {
  none: [],
  holder: [{ clusterSecret: [] }, { session: [] }],
  account: [{ session: [] }],
  node: [{ nodeSignature: [] }],
};

export function openapiDocument(): Json {
  const schemas: Json = {};
  const paths: Record<string, Json> = {};
  for (const operation of Object.values(OPERATIONS) as Operation[]) {
    const described = { [operation.method.toLowerCase()]: operationObject(operation, schemas) };
    paths[operation.path] = { ...paths[operation.path], ...described };
  }
  jsonSchema(problemSchema, "output", schemas);
  return {
    openapi: "3.1.0",
    info: {
      title: "Volley",
      version: API_VERSION,
      description:
        "Rent a GPU cluster from a program: quote, reserve, pay USDC on Solana, use, tear down. " +
        "Every operation is also a field of the GraphQL schema at /graphql.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "/" }],
    paths,
    components: {
      schemas: Object.fromEntries(Object.entries(schemas).sort(([a], [b]) => (a < b ? -1 : 1))),
      securitySchemes: {
        clusterSecret: {
          type: "http",
          scheme: "bearer",
          description: "The secret from the answer to clusters.reserve. It opens that cluster and nothing else.",
        },
        session: {
          type: "http",
          scheme: "bearer",
          description: "The token from the answer to auth.session. It opens the account and all that is its.",
        },
        nodeSignature: {
          type: "apiKey",
          in: "header",
          name: "volley-node-signature",
          description: "Ed25519 signature of a supplier's machine over method, path, body, channel and counter.",
        },
      },
    },
  };
}

function operationObject(operation: Operation, schemas: Json): Json {
  const input = jsonSchema(operation.input, "input", schemas) as {
    properties: Record<string, Json>;
    required?: string[];
  };
  const inPath = pathParameters(operation.path);
  const rest = Object.entries(input.properties).filter(([name]) => !inPath.includes(name));
  const required = (name: string) => input.required?.includes(name) ?? false;
  const parameter = (where: string) => (name: string) => {
    const { description, ...schema } = input.properties[name] ?? {};
    return { name, in: where, required: required(name), ...(description === undefined ? {} : { description }), schema };
  };
  const hasBody = operation.method === "POST";
  const parameters = [
    ...inPath.map(parameter("path")),
    ...(hasBody ? [] : rest.map(([name]) => ({ ...parameter("query")(name), style: "form", explode: false }))),
    ...headerParameters(operation),
  ];
  return {
    operationId: operation.id,
    summary: operation.summary,
    tags: [operation.id.split(".")[0]],
    security: SECURITY[operation.scope],
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(hasBody ? { requestBody: requestBody(rest, required) } : {}),
    responses: responses(operation, schemas, hasBody),
  };
}

function requestBody(rest: readonly [string, Json][], required: (name: string) => boolean): Json {
  const names = rest.map(([name]) => name).filter(required);
  const schema = {
    type: "object",
    properties: Object.fromEntries(rest),
    ...(names.length === 0 ? {} : { required: names }),
    additionalProperties: false,
  };
  return { required: names.length > 0, content: { "application/json": { schema } } };
}

function headerParameters(operation: Operation): Json[] {
  const header = (name: string, required: boolean, description: string) => ({
    name,
    in: "header",
    required,
    description,
    schema: { type: "string" },
  });
  return [
    ...(operation.idempotency === "none"
      ? []
      : [
          header("Idempotency-Key", operation.idempotency === "required", "Repeats of one request carry the same key."),
        ]),
    ...(operation.stream === undefined ? [] : [header("Last-Event-ID", false, "Resume after this event.")]),
  ];
}

function responses(operation: Operation, schemas: Json, hasBody: boolean): Json {
  const schema = jsonSchema(operation.output, "output", schemas);
  const success =
    operation.stream === undefined
      ? { description: "Done.", content: { "application/json": { schema } } }
      : {
          description: `Server-sent events, named by \`${operation.stream.eventField}\`; \`data\` is JSON of this schema.`,
          content: { "text/event-stream": { schema } },
        };
  const codes = new Set([...operation.errors, ...COMMON_ERRORS, ...(hasBody ? BODY_ERRORS : [])]);
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of codes) byStatus.set(ERRORS[code].status, [...(byStatus.get(ERRORS[code].status) ?? []), code]);
  return {
    [String(operation.status ?? 200)]: success,
    ...Object.fromEntries(
      [...byStatus]
        .sort(([a], [b]) => a - b)
        .map(([status, list]) => [
          String(status),
          {
            description: list.map((code) => `\`${code}\`: ${ERRORS[code].title}.`).join(" "),
            content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } },
          },
        ]),
    ),
  };
}

/** The JSON Schema of a zod schema; named schemas go to the components. */
function jsonSchema(schema: z.ZodType, io: "input" | "output", schemas: Json): Json {
  const {
    $defs,
    $schema: _,
    ...root
  } = z.toJSONSchema(schema, {
    io,
    unrepresentable: "any",
    override: ({ jsonSchema: made }) => {
      // Clients ignore members that they don't know, so that fields can be added to answers.
      if (io === "output") delete made.additionalProperties;
      if (made.maximum === Number.MAX_SAFE_INTEGER) delete made.maximum;
      if (made.minimum === Number.MIN_SAFE_INTEGER) delete made.minimum;
    },
  });
  const move = (value: unknown): unknown =>
    JSON.parse(JSON.stringify(value).replaceAll("#/$defs/", "#/components/schemas/"));
  for (const [name, definition] of Object.entries($defs ?? {})) schemas[name] ??= move(definition);
  return move(root) as Json;
}

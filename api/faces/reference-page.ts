/** The API reference at /docs: one static page, rendered from the OpenAPI document, without script or foreign host. */
import { OPERATIONS } from "@volley/schema";
import { ERRORS } from "@volley/schema/errors";
import type { Operation } from "@volley/schema/operation";
import type { Handle } from "./endpoint.ts";

interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly description?: string;
}

interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly required: boolean;
  readonly description?: string;
  readonly schema: Schema;
}

interface Described {
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: { readonly "application/json": { readonly schema: Schema } } };
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, { readonly schema: Schema }>> }>
  >;
}

export interface ReferenceDocument {
  readonly paths: object;
  readonly components: { readonly schemas: object };
}

const STYLE = `
:root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
code,pre{font:13px/1.5 ui-monospace,monospace}h2{margin-top:3rem;border-bottom:1px solid #8886}h3 code{font-size:1em}
table{border-collapse:collapse;width:100%;margin:.5rem 0}td,th{text-align:left;vertical-align:top;padding:.25rem .75rem .25rem 0;border-bottom:1px solid #8883}
td:first-child{white-space:nowrap}small{opacity:.75}nav a{margin-right:1rem}`;

export function referencePage(document: ReferenceDocument): Handle {
  const page = render(document);
  return async () => ({
    status: 200,
    body: page,
    headers: {
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
      "cache-control": "public, max-age=300",
    },
  });
}

const escapeHtml = (text: string) =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");

function typeOf(schema: Schema): string {
  if (schema.$ref !== undefined) {
    const name = schema.$ref.split("/").at(-1) ?? "";
    return `<a href="#${name}">${name}</a>`;
  }
  if (schema.anyOf !== undefined) return schema.anyOf.map(typeOf).join(" or ");
  if (schema.enum !== undefined)
    return schema.enum.map((value) => `<code>${escapeHtml(String(value))}</code>`).join(" or ");
  if (schema.const !== undefined) return `<code>${escapeHtml(String(schema.const))}</code>`;
  if (schema.type === "array") return `list of ${typeOf(schema.items ?? {})}`;
  const bounds = [
    schema.minimum === undefined ? "" : ` from ${schema.minimum}`,
    schema.maximum === undefined ? "" : ` to ${schema.maximum}`,
  ].join("");
  return escapeHtml([schema.type ?? "any"].flat().join(" or ")) + bounds;
}

function row(name: string, schema: Schema, required: boolean, description = schema.description ?? ""): string {
  const standard =
    schema.default === undefined ? "" : ` Default: <code>${escapeHtml(JSON.stringify(schema.default))}</code>.`;
  return `<tr><td><code>${name}</code>${required ? " <small>required</small>" : ""}</td><td>${typeOf(schema)}</td><td>${escapeHtml(description)}${standard}</td></tr>`;
}

function fields(schema: Schema): string {
  return Object.entries(schema.properties ?? {})
    .map(([name, field]) => row(name, field, schema.required?.includes(name) ?? false))
    .join("");
}

function section(operation: Operation, described: Described): string {
  const body = described.requestBody?.content["application/json"].schema;
  const inputs =
    (described.parameters ?? [])
      .map((parameter) => row(parameter.name, parameter.schema, parameter.required, parameter.description))
      .join("") + (body === undefined ? "" : fields(body));
  const [status, answer] = Object.entries(described.responses).find(([code]) => code.startsWith("2")) ?? [
    "",
    undefined,
  ];
  const [type, content] = Object.entries(answer?.content ?? {})[0] ?? ["", { schema: {} }];
  const errors = operation.errors.map((code) => `<a href="#${code}"><code>${code}</code></a>`).join(" ");
  return `<section id="${operation.id}"><h3><code>${operation.method} ${escapeHtml(operation.path)}</code></h3>
<p>${escapeHtml(operation.summary)}. <small>${operation.id} · GraphQL ${operation.graphql.kind} <code>${operation.graphql.field}</code></small></p>
${inputs === "" ? "" : `<table>${inputs}</table>`}
<p>Answers ${status} with ${typeOf(content.schema)} <small>${type}</small>. Errors: ${errors}</p></section>`;
}

function render(document: ReferenceDocument): string {
  const paths = document.paths as Readonly<Record<string, Readonly<Record<string, Described>>>>;
  const schemas = document.components.schemas as Readonly<Record<string, Schema>>;
  const operations: readonly Operation[] = Object.values(OPERATIONS);
  const sections = operations.map((operation) => {
    const described = paths[operation.path]?.[operation.method.toLowerCase()];
    return described === undefined ? "" : section(operation, described);
  });
  const objects = Object.entries(schemas)
    .filter(([, schema]) => schema.properties !== undefined)
    .map(([name, schema]) => `<section id="${name}"><h3>${name}</h3><table>${fields(schema)}</table></section>`);
  const errors = Object.entries(ERRORS).map(
    ([code, { status, title, retryable }]) =>
      `<tr id="${code}"><td><code>${code}</code></td><td>${status}</td><td>${escapeHtml(title)}.${retryable ? " The same request can succeed later." : ""}</td></tr>`,
  );
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Volley API</title><style>${STYLE}</style></head><body>
<h1>Volley API</h1><p>Rent a GPU cluster from a program: quote, reserve, pay USDC on Solana, use, tear down.
Machine-readable: <a href="/openapi.json">openapi.json</a>; every operation is also a field at <code>/graphql</code>.</p>
<nav><a href="#operations">Operations</a><a href="#objects">Objects</a><a href="#errors">Errors</a></nav>
<h2 id="operations">Operations</h2>${sections.join("")}
<h2 id="objects">Objects</h2>${objects.join("")}
<h2 id="errors">Errors</h2><p>Every error is <code>application/problem+json</code> (RFC 9457); <code>code</code> never changes its meaning.</p>
<table>${errors.join("")}</table></body></html>`;
}

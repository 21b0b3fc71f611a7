/** Prints, per operation: its params, its typed method, and its line in the method table. */
import { camelCase } from "@volley/schema/casing";
import { type Operation, pathParameters } from "@volley/schema/operation";
import { z } from "zod";
import { docblock, fieldName, type JsonSchema, refName, renderFields, renderType, type Shape } from "./render-types.ts";

export const SECONDS_SUFFIX = "_seconds";

export interface RenderedOperation {
  readonly id: string;
  readonly params: string;
  readonly method: string;
  readonly tableLine: string;
  /** Named schemas that the operation mentions. */
  readonly definitions: ReadonlyMap<string, Shape>;
}

export function jsonSchemaOf(type: z.ZodType, io: "input" | "output"): JsonSchema {
  // Ids are custom types whose metadata says that they are strings; nothing else is unrepresentable.
  return z.toJSONSchema(type, { io, unrepresentable: "any" }) as JsonSchema;
}

function pascalCase(operationId: string): string {
  return operationId
    .split(".")
    .map((part) => part.slice(0, 1).toUpperCase() + camelCase(part.slice(1)))
    .join("");
}

function collect(into: Map<string, Shape>, schema: JsonSchema, parsed?: JsonSchema): void {
  for (const [name, definition] of Object.entries(schema.$defs ?? {})) {
    const read = parsed?.$defs?.[name];
    into.set(name, read === undefined ? { schema: definition } : { schema: definition, parsed: read });
  }
}

/** A field in seconds may also be given as text, under its name without the unit. */
function spanFields(schema: JsonSchema): string[] {
  return Object.keys(schema.properties ?? {}).filter((name) => name.endsWith(SECONDS_SUFFIX));
}

function spanName(field: string): string {
  return fieldName(field.slice(0, -SECONDS_SUFFIX.length));
}

function renderSpan(field: string, schema: JsonSchema): string {
  const [seconds, span] = [fieldName(field), spanName(field)];
  const [mark, absent] = (schema.required ?? []).includes(field) ? ["", ""] : ["?", " | undefined"];
  return `({ ${seconds}${mark}: number${absent}; ${span}?: undefined } | { ${span}${mark}: Span${absent}; ${seconds}?: undefined })`;
}

function renderParams(name: string, shape: Shape, hidden: readonly string[]): string {
  const spans = spanFields(shape.schema).filter((field) => !hidden.includes(field));
  const fields = renderFields(shape, "  ", [...hidden, ...spans]);
  if (spans.length === 0) return `export interface ${name} {\n${fields}}\n`;
  return `export type ${name} = {\n${fields}} & ${spans.map((field) => renderSpan(field, shape.schema)).join(" & ")};\n`;
}

function resultOf(operation: Operation, output: JsonSchema): { kind: string; type: string } {
  const root = output.$ref === undefined ? output : (output.$defs?.[refName(output.$ref)] ?? output);
  const list = root.properties?.data;
  if (root.properties?.next_cursor !== undefined && list?.items !== undefined) {
    const item = renderType({ schema: list.items }, "");
    return { kind: "page", type: `PagePromise<${item}>` };
  }
  const item = renderType({ schema: output }, "");
  if (operation.stream !== undefined) return { kind: "stream", type: `EventStream<${item}>` };
  return { kind: "one", type: `APIPromise<${item}>` };
}

export function renderOperation(operation: Operation): RenderedOperation {
  const input = jsonSchemaOf(operation.input, "input");
  const parsed = jsonSchemaOf(operation.input, "output");
  const output = jsonSchemaOf(operation.output, "output");
  const shape: Shape = { schema: input, parsed };
  const path = pathParameters(operation.path);
  const visible = Object.keys(input.properties ?? {}).filter((name) => !path.includes(name));
  const hasParams = visible.length > 0;
  const isOptional = !(input.required ?? []).some((name) => visible.includes(name));
  const name = `${pascalCase(operation.id)}Params`;
  const result = resultOf(operation, output);
  const definitions = new Map<string, Shape>();
  collect(definitions, output);
  collect(definitions, input, parsed);
  const spans = spanFields(input).map(spanName);
  const args = [
    ...path.map((parameter) => `${fieldName(parameter)}: string`),
    ...(hasParams ? [`params${isOptional ? "?" : ""}: ${name}`] : []),
    "options?: RequestOptions",
  ];
  const verb = operation.id.slice(operation.id.indexOf(".") + 1);
  const table = {
    method: operation.method,
    path: operation.path,
    result: result.kind,
    ...(hasParams ? { hasParams } : {}),
    ...(spans.length > 0 ? { spans } : {}),
  };
  return {
    id: operation.id,
    params: hasParams ? renderParams(name, shape, path) : "",
    method: `${docblock(`${operation.summary}. \`${operation.method} ${operation.path}\``, "    ")}    ${verb}(${args.join(", ")}): ${result.type};\n`,
    tableLine: `  ${JSON.stringify(operation.id)}: ${JSON.stringify(table)},\n`,
    definitions,
  };
}

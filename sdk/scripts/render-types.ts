/** Turns JSON Schema, as zod prints it, into TypeScript with camelCase names. */
import { camelCase, snakeCase } from "@volley/schema/casing";

export interface JsonSchema {
  readonly $ref?: string;
  readonly $defs?: Readonly<Record<string, JsonSchema>>;
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly JsonSchema[];
  readonly items?: JsonSchema;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | JsonSchema;
  readonly description?: string;
  readonly default?: unknown;
}

/**
 * A request is described twice: what may be sent (before defaults) and what is read from it (after text of a
 * query string became a number). An answer is described once.
 */
export interface Shape {
  readonly schema: JsonSchema;
  /** The same place of the request as it is read; absent in answers. */
  readonly parsed?: JsonSchema;
}

const SCALARS: Readonly<Record<string, string>> = {
  string: "string",
  number: "number",
  integer: "number",
  boolean: "boolean",
  null: "null",
};

/** Values of an enum may grow, so an answer's enum also admits a string that this version doesn't know. */
const OPEN_ENUM = "(string & {})";

export function refName(ref: string): string {
  return ref.slice(ref.lastIndexOf("/") + 1);
}

export function docblock(text: string | undefined, indent: string): string {
  return text === undefined ? "" : `${indent}/** ${text} */\n`;
}

/** @throws {Error} when a name would not survive the way to camelCase and back */
export function fieldName(name: string): string {
  const camel = camelCase(name);
  if (snakeCase(camel) !== name) throw new Error(`the field ${name} can't be written in camelCase and back`);
  return camel;
}

function isEmpty(schema: JsonSchema): boolean {
  return Object.keys(schema).every((key) => key === "description" || key === "default" || key === "$schema");
}

function literals(values: readonly unknown[], isRequest: boolean): string {
  const known = values.map((value) => JSON.stringify(value));
  return [...known, ...(isRequest ? [] : [OPEN_ENUM])].join(" | ");
}

function renderField(name: string, owner: Shape, indent: string): string {
  const schema = owner.schema.properties?.[name] ?? {};
  const parsed = owner.parsed?.properties?.[name];
  const isOptional = !(owner.schema.required ?? []).includes(name);
  const standard = schema.default === undefined ? [] : [`Default: ${JSON.stringify(schema.default)}.`];
  const description = [schema.description ?? parsed?.description, ...standard].filter((part) => part !== undefined);
  const type = renderType(parsed === undefined ? { schema } : { schema, parsed }, indent);
  // Callers often hand on what they may not have; an answer never holds undefined.
  const absent = isOptional && owner.parsed !== undefined ? " | undefined" : "";
  return `${docblock(description.length === 0 ? undefined : description.join(" "), indent)}${indent}${fieldName(name)}${isOptional ? "?" : ""}: ${type}${absent};\n`;
}

/** The fields of an object, one to a line, leaving out those that are named. */
export function renderFields(shape: Shape, indent: string, without: readonly string[] = []): string {
  return Object.keys(shape.schema.properties ?? {})
    .filter((name) => !without.includes(name))
    .map((name) => renderField(name, shape, indent))
    .join("");
}

function renderObject(shape: Shape, indent: string): string {
  const { properties, additionalProperties } = shape.schema;
  const isOpen = typeof additionalProperties === "object";
  if (properties === undefined) {
    return `Record<string, ${isOpen ? renderType({ schema: additionalProperties }, indent) : "unknown"}>`;
  }
  const rest = isOpen ? `${indent}  [member: string]: unknown;\n` : "";
  return `{\n${renderFields(shape, `${indent}  `)}${rest}${indent}}`;
}

function renderArray(shape: Shape, indent: string): string {
  const parsed = shape.parsed?.items;
  const item = renderType({ schema: shape.schema.items ?? {}, ...(parsed === undefined ? {} : { parsed }) }, indent);
  return item.includes(" | ") ? `(${item})[]` : `${item}[]`;
}

/** @throws {Error} when the schema has a form that this doesn't know */
export function renderType(shape: Shape, indent: string): string {
  const isRequest = shape.parsed !== undefined;
  // What is read from a request is narrower than the text that a query string can carry, so it types the field.
  const schema = shape.parsed !== undefined && !isEmpty(shape.parsed) ? shape.parsed : shape.schema;
  if (isEmpty(schema)) return "unknown";
  if (schema.$ref !== undefined) return refName(schema.$ref);
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum !== undefined) return literals(schema.enum, isRequest);
  if (schema.anyOf !== undefined) {
    const branches = schema.anyOf.map((branch) =>
      renderType(isRequest ? { schema: branch, parsed: branch } : { schema: branch }, indent),
    );
    return [...new Set(branches)].join(" | ");
  }
  if (Array.isArray(schema.type)) {
    return schema.type.map((type: string) => renderType({ schema: { ...schema, type } }, indent)).join(" | ");
  }
  if (schema.type === "object") return renderObject(isRequest ? shape : { schema }, indent);
  if (schema.type === "array") return renderArray(isRequest ? { schema: shape.schema, parsed: schema } : shape, indent);
  const scalar = SCALARS[String(schema.type)];
  if (scalar === undefined) throw new Error(`a schema of this form has no TypeScript here: ${JSON.stringify(schema)}`);
  return scalar;
}

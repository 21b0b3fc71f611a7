/** Prints, per operation, what the command line needs of it: positional arguments and flags with their kinds. */
import { camelCase } from "@volley/schema/casing";
import { type Operation, pathParameters } from "@volley/schema/operation";
import type { Field, FlagKind, OperationLine } from "../cli/flags.ts";
import { jsonSchemaOf, SECONDS_SUFFIX } from "./render-operations.ts";
import { fieldName, type JsonSchema, refName } from "./render-types.ts";

type Definitions = Readonly<Record<string, JsonSchema>>;

function kebabCase(name: string): string {
  return name.replaceAll("_", "-");
}

function resolved(schema: JsonSchema, definitions: Definitions): JsonSchema {
  return schema.$ref === undefined ? schema : { ...definitions[refName(schema.$ref)], ...schema };
}

function isOf(schema: JsonSchema, type: string): boolean {
  return schema.type === type || (schema.anyOf ?? []).some((branch) => branch.type === type);
}

function kindOf(schema: JsonSchema): FlagKind {
  if (isOf(schema, "array")) {
    if (isOf(schema, "string")) return "words";
    return schema.items?.type === "string" ? "list" : "json";
  }
  if (isOf(schema, "object")) {
    const values = schema.additionalProperties;
    return typeof values === "object" && values.type === "string" ? "map" : "json";
  }
  for (const kind of ["integer", "number", "boolean"] as const) if (isOf(schema, kind)) return kind;
  return "text";
}

function fieldsOf(schema: JsonSchema, definitions: Definitions, within: readonly string[] = []): Field[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, property]): Field[] => {
    const of = resolved(property, definitions);
    const names = [...within, name];
    if (of.properties !== undefined) return fieldsOf(of, definitions, names);
    const isSpan = name.endsWith(SECONDS_SUFFIX) && within.length === 0;
    const shown = isSpan ? names.map((part) => part.slice(0, -SECONDS_SUFFIX.length)) : names;
    const isRequired = within.length === 0 && (schema.required ?? []).includes(name) && of.default === undefined;
    return [
      {
        flag: shown.map(kebabCase).join("-"),
        path: shown.map(fieldName),
        kind: isSpan ? "span" : kindOf(of),
        ...(isRequired ? { isRequired } : {}),
        ...(of.enum === undefined ? {} : { values: of.enum.map(String) }),
        ...(of.default === undefined || kindOf(of) === "map" ? {} : { fallback: JSON.stringify(of.default) }),
        ...(of.description === undefined ? {} : { about: of.description }),
      },
    ];
  });
}

/** What is read from a request describes a field better than the text that a query string can carry. */
function inputOf(operation: Operation): JsonSchema {
  const sent = jsonSchemaOf(operation.input, "input");
  const { required: _, ...read } = jsonSchemaOf(operation.input, "output");
  return sent.required === undefined ? read : { ...read, required: sent.required };
}

/** Null for what a person can't call: only the machine itself can sign its requests. */
export function renderCommand(operation: Operation): string | null {
  if (operation.scope === "node") return null;
  const input = inputOf(operation);
  const path = pathParameters(operation.path);
  const line: OperationLine = {
    operation: operation.id as OperationLine["operation"],
    summary: operation.summary,
    path: path.map(camelCase),
    fields: fieldsOf(input, input.$defs ?? {}).filter(({ path: [name = ""] }) => !path.map(camelCase).includes(name)),
  };
  return `  ${JSON.stringify(line)},\n`;
}

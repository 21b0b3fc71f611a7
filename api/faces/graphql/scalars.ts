/** The leaves of the contract as GraphQL has them. */
import { GraphQLScalarType, type ValueNode, valueFromASTUntyped } from "graphql";
import { Float, ID, Int, registerEnumType } from "type-graphql";
import type { z } from "zod";

export type Schema = z.core.JSONSchema.BaseSchema;

/** Maps whose keys belong to the caller, and values of several types. */
const JsonScalar = new GraphQLScalarType({
  name: "JSON",
  description: "Any JSON value.",
  serialize: (value) => value,
  parseValue: (value) => value,
  parseLiteral: (node: ValueNode, variables) => valueFromASTUntyped(node, variables),
});

const enums = new Map<string, object>();

/** @param name of the enum that the schema may be; @param field whose value it is */
export function scalarOf(schema: Schema, name: string, field: string): unknown {
  const types = [schema.type].flat();
  if (types.includes("boolean")) return Boolean;
  if (types.length > 1) return JsonScalar;
  switch (schema.type) {
    case "integer":
      return Int;
    case "number":
      return Float;
    case "string":
      if (schema.enum !== undefined) return enumOf(schema.enum as string[], name) ?? String;
      return field === "id" || /^\^[a-z]+_\[/.test(schema.pattern ?? "") ? ID : String;
    default:
      // Maps with keys of the caller, and unions, which GraphQL has no input form for.
      return JsonScalar;
  }
}

/** Equal lists of values are one enum; one with a value that GraphQL can't name stays a string. */
function enumOf(values: readonly string[], name: string): object | null {
  if (!values.every((value) => /^[_A-Za-z][_0-9A-Za-z]*$/.test(value))) return null;
  const key = values.join(" ");
  const known = enums.get(key);
  if (known !== undefined) return known;
  const made = Object.fromEntries(values.map((value) => [value, value]));
  registerEnumType(made, { name });
  enums.set(key, made);
  return made;
}

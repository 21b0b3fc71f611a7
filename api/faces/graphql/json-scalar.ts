/** Any JSON value: maps whose keys belong to the caller, and values of several types. */
import { GraphQLScalarType, type ValueNode, valueFromASTUntyped } from "graphql";

export const JsonScalar = new GraphQLScalarType({
  name: "JSON",
  description: "Any JSON value.",
  serialize: (value) => value,
  parseValue: (value) => value,
  parseLiteral: (node: ValueNode, variables) => valueFromASTUntyped(node, variables),
});

/** The executable schema: root fields and relations, put together by type-graphql once per process. */
import "reflect-metadata";
import { type GraphQLSchema, isObjectType } from "graphql";
import { buildSchemaSync } from "type-graphql";
import type { Resolve } from "./fields.ts";
import { relationResolvers } from "./relations.ts";
import { RootFields } from "./root-fields.ts";

const unused = () => {
  throw new Error("streams come from verbs, not from topics");
};

/**
 * type-graphql wraps resolvers for middleware, guards and argument classes. None of them are used here,
 * and together they cost about as much as running the document.
 */
function callResolversDirectly(schema: GraphQLSchema): GraphQLSchema {
  for (const type of Object.values(schema.getTypeMap())) {
    if (!isObjectType(type)) continue;
    for (const field of Object.values(type.getFields())) {
      const { resolve, property } = field.extensions as { resolve?: Resolve; property?: string };
      if (resolve !== undefined) field.resolve = (root, args, context, info) => resolve({ root, args, context, info });
      else if (property !== undefined) field.resolve = (root) => root[property];
    }
  }
  return schema;
}

export const graphqlSchema = callResolversDirectly(
  buildSchemaSync({
    resolvers: [RootFields, ...relationResolvers] as never,
    validate: false,
    pubSub: { publish: unused, subscribe: unused },
  }),
);

/** The executable schema: root fields and relations, put together by type-graphql once per process. */
import "reflect-metadata";
import { buildSchemaSync } from "type-graphql";
import { relationResolvers } from "./relations.ts";
import { RootFields } from "./root-fields.ts";

const unused = () => {
  throw new Error("streams come from verbs, not from topics");
};

export const graphqlSchema = buildSchemaSync({
  resolvers: [RootFields, ...relationResolvers] as never,
  validate: false,
  pubSub: { publish: unused, subscribe: unused },
});

/** The prepared documents of one app, by their text. */
import { type DocumentNode, type FormattedExecutionResult, GraphQLError } from "graphql";
import type { GraphContext } from "./graph-context.ts";
import { checkComplexity } from "./limits.ts";
import { type Prepared, prepare } from "./prepare.ts";
import { graphqlSchema } from "./schema.ts";

/** The one that was made first goes first. */
const DOCUMENTS_MAX = 500;
const CHARACTERS_MAX = 10_000;

type Variables = Readonly<Record<string, unknown>>;

export interface PreparedDocuments {
  /** Keeps a document that has been accepted, if it can be prepared. */
  keep(source: string, document: DocumentNode, operationName: string | undefined): void;
  /** @returns null when the request has to go the ordinary way */
  run(body: unknown, context: () => GraphContext): Promise<FormattedExecutionResult | null>;
}

export function preparedDocuments(): PreparedDocuments {
  const known = new Map<string, Prepared>();
  const keyOf = (source: string, operationName: string | null | undefined) => `${operationName ?? ""}\n${source}`;
  return {
    keep(source, document, operationName) {
      if (source.length > CHARACTERS_MAX) return;
      const prepared = prepare(graphqlSchema, document, operationName);
      if (prepared === null) return;
      known.set(keyOf(source, operationName), prepared);
      if (known.size > DOCUMENTS_MAX) known.delete(known.keys().next().value ?? "");
    },
    async run(body, context) {
      const { query, operationName, variables, extensions } = (body ?? {}) as Record<string, unknown>;
      if (typeof query !== "string" || extensions != null) return null;
      if (operationName != null && typeof operationName !== "string") return null;
      if (variables != null && (typeof variables !== "object" || Array.isArray(variables))) return null;
      const prepared = known.get(keyOf(query, operationName));
      const given = (variables ?? {}) as Variables;
      if (prepared === undefined || !isAffordable(prepared.document, operationName, given)) return null;
      return prepared.run(context(), given);
    },
  };
}

/** What is too dear is refused by the ordinary way. */
function isAffordable(document: DocumentNode, operationName: string | null | undefined, variables: Variables): boolean {
  try {
    checkComplexity(graphqlSchema, document, operationName ?? undefined, variables);
    return true;
  } catch (error) {
    if (error instanceof GraphQLError) return false;
    throw error;
  }
}

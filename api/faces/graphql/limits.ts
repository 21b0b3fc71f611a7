/** What a document may ask for. All of it is checked before anything runs. */
import {
  type ASTVisitor,
  type DocumentNode,
  GraphQLError,
  type GraphQLSchema,
  Kind,
  type SelectionSetNode,
  type ValidationContext,
  visit,
} from "graphql";
import { fieldExtensionsEstimator, getComplexity, simpleEstimator } from "graphql-query-complexity";

export const TOKENS_MAX = 2_000;
/** Faults of a document that are told at once; looking for what was meant costs time for each. */
export const VALIDATION_ERRORS_MAX = 10;
const SELECTIONS_MAX = 5_000;
const DEPTH_MAX = 12;
const ALIASES_MAX = 30;
const DIRECTIVES_MAX = 30;
/** About five full pages of offers. */
const COMPLEXITY_MAX = 10_000;

/** What Apollo Server answers with; it takes this off the error. */
const BAD_REQUEST = { status: 400 };

function tooComplex(detail: string): GraphQLError {
  // Not `code`: Apollo Server writes its own there.
  return new GraphQLError(detail, { extensions: { reason: "query_too_complex", http: BAD_REQUEST } });
}

interface Size {
  readonly depth: number;
  /** Selections when all fragments are written out. */
  readonly selections: number;
}

/** Measures selections; each fragment is measured once. How deep introspection may go is limited by graphql itself. */
function sizer(document: DocumentNode): (set: SelectionSetNode) => Size {
  const fragments = new Map<string, SelectionSetNode>();
  for (const definition of document.definitions) {
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition.selectionSet);
  }
  const known = new Map<string, Size>();
  const none: Size = { depth: 0, selections: 0 };

  const sizeOfFragment = (name: string): Size => {
    const measured = known.get(name);
    if (measured !== undefined) return measured;
    // Another rule refuses fragments that contain themselves; here they must only come to an end.
    known.set(name, none);
    const set = fragments.get(name);
    const size = set === undefined ? none : sizeOf(set);
    known.set(name, size);
    return size;
  };

  const sizeOf = (set: SelectionSetNode): Size => {
    let depth = 0;
    let selections = 0;
    for (const selection of set.selections) {
      const isSpread = selection.kind === Kind.FRAGMENT_SPREAD;
      const inner = isSpread
        ? sizeOfFragment(selection.name.value)
        : selection.selectionSet === undefined
          ? none
          : sizeOf(selection.selectionSet);
      const isField = selection.kind === Kind.FIELD;
      const isIntrospection = isField && selection.name.value.startsWith("__");
      if (!isIntrospection) depth = Math.max(depth, inner.depth + (isField ? 1 : 0));
      selections += 1 + inner.selections;
    }
    return { depth, selections };
  };
  return sizeOf;
}

/** A validation rule: depth, selections, aliases and directives of a document. */
export function limitsRule(context: ValidationContext): ASTVisitor {
  const refuse = (detail: string) => context.reportError(tooComplex(detail));
  return {
    Document(document) {
      const sizeOf = sizer(document);
      let aliases = 0;
      let directives = 0;
      visit(document, {
        OperationDefinition: ({ selectionSet }) => {
          const { depth, selections } = sizeOf(selectionSet);
          if (depth > DEPTH_MAX) refuse(`Fields are nested deeper than ${DEPTH_MAX}.`);
          if (selections > SELECTIONS_MAX)
            refuse(`With its fragments the document has more than ${SELECTIONS_MAX} fields.`);
        },
        Field: (node) => {
          if (node.alias !== undefined) aliases++;
        },
        Directive: () => {
          directives++;
        },
      });
      if (aliases > ALIASES_MAX) refuse(`There are more than ${ALIASES_MAX} aliases.`);
      if (directives > DIRECTIVES_MAX) refuse(`There are more than ${DIRECTIVES_MAX} directives.`);
    },
  };
}

type Variables = Readonly<Record<string, unknown>>;

/** Costs that were worked out before, per document; they differ only by the variables that decide how much is fetched. */
const costs = new WeakMap<
  DocumentNode,
  { readonly deciding: readonly string[]; readonly byKey: Map<string, number> }
>();
const COSTS_PER_DOCUMENT_MAX = 200;
/** Sizes of pages, and `@skip(if:)`, `@include(if:)`. */
const DECIDING_ARGUMENTS = new Set(["first", "if"]);

/**
 * Pages count with all their items.
 * @throws {GraphQLError} when the operation would fetch too much, or its variables don't fit
 */
export function checkComplexity(
  schema: GraphQLSchema,
  document: DocumentNode,
  operationName: string | undefined,
  variables: Variables,
): void {
  const kept = costs.get(document) ?? { deciding: decidingVariables(document), byKey: new Map<string, number>() };
  costs.set(document, kept);
  const key = JSON.stringify([operationName, ...kept.deciding.map((name) => variables[name])]);
  let cost = kept.byKey.get(key);
  if (cost === undefined) {
    cost = complexityOf(schema, document, operationName, variables);
    if (kept.byKey.size >= COSTS_PER_DOCUMENT_MAX) kept.byKey.clear();
    kept.byKey.set(key, cost);
  }
  if (cost > COMPLEXITY_MAX) {
    throw tooComplex(
      `The document asks for about ${cost} fields; ${COMPLEXITY_MAX} are allowed. Ask for smaller pages.`,
    );
  }
}

function complexityOf(
  schema: GraphQLSchema,
  document: DocumentNode,
  operationName: string | undefined,
  variables: Variables,
): number {
  try {
    return getComplexity({
      schema,
      query: document,
      ...(operationName === undefined ? {} : { operationName }),
      variables,
      estimators: [fieldExtensionsEstimator(), simpleEstimator({ defaultComplexity: 1 })],
    });
  } catch (error) {
    if (!(error instanceof GraphQLError)) throw error;
    if (error.message.startsWith("Query exceeds")) throw tooComplex("The document has too many fields.");
    throw new GraphQLError(error.message, { extensions: { code: "BAD_USER_INPUT", http: BAD_REQUEST } });
  }
}

function decidingVariables(document: DocumentNode): string[] {
  const names = new Set<string>();
  visit(document, {
    Argument: ({ name, value }) => {
      if (DECIDING_ARGUMENTS.has(name.value) && value.kind === Kind.VARIABLE) names.add(value.name.value);
    },
  });
  return [...names];
}

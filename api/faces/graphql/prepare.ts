/**
 * Documents made ready to be run again. Once Apollo Server has accepted a document, its selections are compiled into
 * functions that pick the asked fields out of a verb's answer, which takes a small part of the time that a general
 * executor needs. What has resolvers or directives below its root fields is run the ordinary way, each time.
 */
import {
  type DocumentNode,
  type FieldNode,
  type FormattedExecutionResult,
  type FragmentDefinitionNode,
  type GraphQLFormattedError,
  type GraphQLObjectType,
  type GraphQLOutputType,
  type GraphQLSchema,
  getArgumentValues,
  getOperationAST,
  getVariableValues,
  isLeafType,
  isListType,
  isNonNullType,
  isObjectType,
  Kind,
  locatedError,
  OperationTypeNode,
  type SelectionSetNode,
} from "graphql";
import type { Resolve } from "./fields.ts";
import type { GraphContext } from "./graph-context.ts";

type Variables = Readonly<Record<string, unknown>>;
type Pick = (value: unknown) => unknown;

export interface Prepared {
  readonly document: DocumentNode;
  /** @returns null when the variables don't fit, which the ordinary way says better */
  run(context: GraphContext, variables: Variables): Promise<FormattedExecutionResult> | null;
}

interface RootField {
  readonly key: string;
  readonly node: FieldNode;
  readonly resolve: Resolve;
  readonly argumentsOf: (variables: Variables) => Record<string, unknown>;
  readonly pick: Pick;
}

/** The document as functions; null when it has parts that only a general executor runs. */
export function prepare(
  schema: GraphQLSchema,
  document: DocumentNode,
  operationName: string | undefined,
): Prepared | null {
  const operation = getOperationAST(document, operationName);
  if (!operation || operation.operation === OperationTypeNode.SUBSCRIPTION) return null;
  const rootType = schema.getRootType(operation.operation);
  if (!rootType || hasDirectives(document)) return null;
  const fragments = new Map<string, FragmentDefinitionNode>();
  for (const definition of document.definitions) {
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition);
  }
  const roots = compileRoots(rootType, operation.selectionSet, fragments);
  if (roots === null) return null;
  const isSerial = operation.operation === OperationTypeNode.MUTATION;
  const definitions = operation.variableDefinitions ?? [];
  return {
    document,
    run(context, variables) {
      const { coerced } = getVariableValues(schema, definitions, variables);
      return coerced === undefined ? null : runRoots(roots, isSerial, context, coerced);
    },
  };
}

async function runRoots(
  roots: readonly RootField[],
  isSerial: boolean,
  context: GraphContext,
  variables: Variables,
): Promise<FormattedExecutionResult> {
  const data: Record<string, unknown> = {};
  const errors: GraphQLFormattedError[] = [];
  const runRoot = async ({ key, node, resolve, argumentsOf, pick }: RootField) => {
    try {
      data[key] = pick(
        await resolve({ root: undefined, args: argumentsOf(variables), context, info: undefined as never }),
      );
    } catch (error) {
      data[key] = null;
      errors.push(locatedError(error, node, [key]).toJSON());
    }
  };
  // Names in the order of the document, whichever answer comes first.
  for (const { key } of roots) data[key] = null;
  if (isSerial) for (const root of roots) await runRoot(root);
  else await Promise.all(roots.map(runRoot));
  return errors.length === 0 ? { data } : { errors, data };
}

type Fragments = ReadonlyMap<string, FragmentDefinitionNode>;

function compileRoots(type: GraphQLObjectType, set: SelectionSetNode, fragments: Fragments): RootField[] | null {
  const roots: RootField[] = [];
  for (const [key, nodes] of fieldsOf([set], fragments)) {
    const [node] = nodes;
    const field = node === undefined ? undefined : type.getFields()[node.name.value];
    const resolve = field?.extensions.resolve as Resolve | undefined;
    if (node === undefined || field === undefined || resolve === undefined) return null;
    const pick = compileType(field.type, nodes, fragments);
    if (pick === null) return null;
    roots.push({ key, node, resolve, argumentsOf: (variables) => getArgumentValues(field, node, variables), pick });
  }
  return roots;
}

/** Fields by the name that they have in the answer. No type here has another above it, so every fragment applies. */
function fieldsOf(
  sets: readonly SelectionSetNode[],
  fragments: Fragments,
  fields = new Map<string, FieldNode[]>(),
): Map<string, FieldNode[]> {
  for (const selection of sets.flatMap((set) => set.selections)) {
    if (selection.kind === Kind.FIELD) {
      const key = selection.alias?.value ?? selection.name.value;
      fields.set(key, [...(fields.get(key) ?? []), selection]);
    } else {
      const fragment = selection.kind === Kind.INLINE_FRAGMENT ? selection : fragments.get(selection.name.value);
      if (fragment !== undefined) fieldsOf([fragment.selectionSet], fragments, fields);
    }
  }
  return fields;
}

function compileType(type: GraphQLOutputType, nodes: readonly FieldNode[], fragments: Fragments): Pick | null {
  if (isNonNullType(type)) {
    const pick = compileType(type.ofType, nodes, fragments);
    return pick === null ? null : (value) => notNull(pick(value), nodes);
  }
  if (isListType(type)) {
    const pick = compileType(type.ofType, nodes, fragments);
    return pick === null ? null : (value) => (value == null ? null : (value as unknown[]).map(pick));
  }
  if (isLeafType(type)) return (value) => (value == null ? null : type.serialize(value));
  return isObjectType(type) ? compileObject(type, nodes, fragments) : null;
}

function compileObject(type: GraphQLObjectType, nodes: readonly FieldNode[], fragments: Fragments): Pick | null {
  const sets = nodes.flatMap((node) => node.selectionSet ?? []);
  const picks: { key: string; property: string; pick: Pick }[] = [];
  for (const [key, subnodes] of fieldsOf(sets, fragments)) {
    const name = subnodes[0]?.name.value ?? "";
    if (name === "__typename") {
      picks.push({ key, property: name, pick: () => type.name });
      continue;
    }
    const field = type.getFields()[name];
    const property = field?.extensions.property;
    const pick = field === undefined ? null : compileType(field.type, subnodes, fragments);
    if (pick === null || typeof property !== "string") return null;
    picks.push({ key, property, pick });
  }
  return (value) => {
    if (value == null) return null;
    const picked: Record<string, unknown> = {};
    for (const { key, property, pick } of picks) picked[key] = pick((value as Record<string, unknown>)[property]);
    return picked;
  };
}

function notNull(value: unknown, [node]: readonly FieldNode[]): unknown {
  if (value === null) throw new TypeError(`the field ${node?.name.value} is null, which the schema rules out`);
  return value;
}

function hasDirectives(document: DocumentNode): boolean {
  return document.loc?.source.body.includes("@") ?? true;
}

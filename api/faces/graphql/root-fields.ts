/** One root field per operation of the registry. Path and query are arguments; a body is the argument `input`. */
import { OPERATIONS, type OperationId } from "@volley/schema";
import { camelCase } from "@volley/schema/casing";
import { type Operation, pathParameters } from "@volley/schema/operation";
import { Mutation, Query, type ResolverData, Subscription } from "type-graphql";
import type { z } from "zod";
import type { ListOperationId, Streamed } from "../../verbs.ts";
import { type BridgedObject, bridgeObject, objectToInput } from "./bridge.ts";
import { connectionOf, type Page, pageArguments, pageComplexity, toConnection } from "./connection.ts";
import { type ArgumentOptions, defineResolver } from "./fields.ts";
import type { GraphContext } from "./graph-context.ts";

type Args = Readonly<Record<string, unknown>>;
const PAGE_FIELDS: Readonly<Record<string, string>> = { limit: "first", cursor: "after" };

export class RootFields {}

for (const [id, operation] of Object.entries(OPERATIONS) as [OperationId, Operation][]) addRootField(id, operation);

function addRootField(id: OperationId, operation: Operation): void {
  const { kind, field } = operation.graphql;
  const item = itemOfPage(operation.output);
  const { args, toRaw } = argumentsOf(operation, field, item !== null);
  const output = (item ?? bridgeObject(operation.output, "output", nameOf(operation.output))).target;
  const answered = item === null ? output : connectionOf(output);
  const type = () => answered as never;
  const options = { nullable: kind !== "subscription", description: `${operation.summary}.` };
  if (kind === "subscription") {
    const prototype = defineResolver(RootFields, field, args, ({ root }) => withCursor(root as Streamed<object>));
    const subscribe = ({ args: given, context }: { args: Args; context: GraphContext }) =>
      context.stream(id, toRaw(given));
    Subscription(type, { ...options, subscribe } as never)(prototype as never, field, {});
    return;
  }
  const prototype = defineResolver(
    RootFields,
    field,
    args,
    async ({ args: given, context }: ResolverData<GraphContext>) => {
      const result = await context.run(id, toRaw(given));
      if (item === null) return result;
      const cursorOf = context.domain.cursors[id as ListOperationId] as (item: unknown) => string;
      return toConnection(result as Page<unknown>, cursorOf, given.after);
    },
  );
  const decorate = kind === "query" ? Query : Mutation;
  decorate(type, { ...options, ...(item === null ? {} : { complexity: pageComplexity }) })(
    prototype as never,
    field,
    {},
  );
}

function argumentsOf(
  operation: Operation,
  field: string,
  isPage: boolean,
): {
  args: readonly ArgumentOptions[];
  toRaw: (args: Args) => unknown;
} {
  const name = camelCase(`_${field}`);
  const inPath = pathParameters(operation.path);
  const hasBody = operation.method === "POST";
  const names = Object.keys(operation.input.shape);
  const flatNames = names.filter((one) => !hasBody || inPath.includes(one));
  const flat = bridgeObject(only(operation.input, flatNames), "input", `${name}ArgumentsInput`);
  const body = hasBody
    ? bridgeObject(
        only(
          operation.input,
          names.filter((one) => !inPath.includes(one)),
        ),
        "input",
        `${name}Input`,
      )
    : null;
  const flatArgs = [...flat.fields].filter(([one]) => !isPage || !(one in PAGE_FIELDS)).map(([, type]) => type);
  const args: ArgumentOptions[] = [
    ...flatArgs,
    ...(isPage ? pageArguments : []),
    ...(body === null ? [] : [bodyArgument(body)]),
  ];
  return {
    args,
    toRaw: (given) => ({
      ...(objectToInput(flat, isPage ? { ...given, limit: given.first, cursor: given.after } : given) as object),
      ...(body === null ? {} : (objectToInput(body, given.input) as object)),
    }),
  };
}

function bodyArgument({ target }: BridgedObject): ArgumentOptions {
  return {
    name: "input",
    type: () => target as never,
    nullable: false,
    description: undefined,
    defaultValue: undefined,
  };
}

function only(schema: z.ZodObject, names: readonly string[]): z.ZodObject {
  return schema.pick(Object.fromEntries(names.map((name) => [name, true])) as never);
}

function nameOf(schema: z.ZodObject): string {
  const id = schema.meta()?.id;
  if (id === undefined) throw new TypeError("the output of an operation has an id");
  return id;
}

/** The item of a list operation's output; null when the output is no page. */
function itemOfPage(output: z.ZodObject): BridgedObject | null {
  const { data, next_cursor: cursor } = output.shape as Record<string, z.ZodType | undefined>;
  if (data === undefined || cursor === undefined) return null;
  const item = (data as z.ZodArray<z.ZodObject>).element;
  return bridgeObject(item, "output", nameOf(item));
}

/** An event of a stream with the id after which the stream can be resumed. */
function withCursor({ id, data }: Streamed<object>): object {
  return { ...data, cursor: id };
}

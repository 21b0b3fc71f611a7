/** Lists as Relay connections, forward only, with the cursors of REST. */
import { PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX } from "@volley/schema/pages";
import { Int, ObjectType } from "type-graphql";
import { type ArgumentOptions, type ClassType, defineProperty } from "./fields.ts";

export interface Page<Item> {
  readonly data: readonly Item[];
  readonly next_cursor: string | null;
}

interface PageInfoValue {
  readonly hasNextPage: boolean;
  readonly hasPreviousPage: boolean;
  readonly startCursor: string | null;
  readonly endCursor: string | null;
}

interface Connection<Item> {
  readonly edges: readonly { readonly node: Item; readonly cursor: string }[];
  readonly pageInfo: PageInfoValue;
}

class PageInfo {}
ObjectType("PageInfo")(PageInfo);
defineProperty(PageInfo, "hasNextPage", () => Boolean);
defineProperty(PageInfo, "hasPreviousPage", () => Boolean, {
  description: "Lists are read forwards: whether the page began after a cursor.",
});
defineProperty(PageInfo, "startCursor", () => String, { nullable: true });
defineProperty(PageInfo, "endCursor", () => String, { nullable: true });

const connections = new Map<string, ClassType>();

export function connectionOf(item: ClassType): ClassType {
  const known = connections.get(item.name);
  if (known !== undefined) return known;
  const edge = { [`${item.name}Edge`]: class {} }[`${item.name}Edge`] as ClassType;
  ObjectType(edge.name)(edge);
  defineProperty(edge, "node", () => item);
  defineProperty(edge, "cursor", () => String);
  const connection = { [`${item.name}Connection`]: class {} }[`${item.name}Connection`] as ClassType;
  ObjectType(connection.name)(connection);
  defineProperty(connection, "edges", () => [edge]);
  defineProperty(connection, "pageInfo", () => PageInfo);
  connections.set(item.name, connection);
  return connection;
}

export const pageArguments: readonly ArgumentOptions[] = [
  {
    name: "first",
    type: () => Int as never,
    nullable: true,
    description: `Items at most, 1 to ${PAGE_LIMIT_MAX}.`,
    defaultValue: PAGE_LIMIT_DEFAULT,
  },
  {
    name: "after",
    type: () => String as never,
    nullable: true,
    description: "The cursor of the last item seen.",
    defaultValue: undefined,
  },
];

/** A page costs as much as its items together. */
export function pageComplexity({
  args,
  childComplexity,
}: {
  args: { first?: unknown };
  childComplexity: number;
}): number {
  const first = typeof args.first === "number" ? args.first : PAGE_LIMIT_DEFAULT;
  return 1 + Math.max(1, Math.min(first, PAGE_LIMIT_MAX)) * childComplexity;
}

export function toConnection<Item>(
  page: Page<Item>,
  cursorOf: (item: Item) => string,
  after: unknown,
): Connection<Item> {
  const edges = page.data.map((node) => ({ node, cursor: cursorOf(node) }));
  return {
    edges,
    pageInfo: {
      hasNextPage: page.next_cursor !== null,
      hasPreviousPage: typeof after === "string",
      startCursor: edges[0]?.cursor ?? null,
      endCursor: edges.at(-1)?.cursor ?? null,
    },
  };
}

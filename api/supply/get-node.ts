import type { InputOf, Operations, OutputOf } from "@volley/schema";
import type { Context } from "../context.ts";
import { loadNodes } from "./load-nodes.ts";
import { nodeNotFound } from "./require-node.ts";

type Get = Operations["nodes.get"];

/** @throws {VolleyError} `not_found` */
export async function getNode(ctx: Context, input: InputOf<Get>): Promise<OutputOf<Get>> {
  const node = (await loadNodes(ctx, [input.id])).get(input.id);
  if (node === undefined) throw nodeNotFound();
  return node;
}

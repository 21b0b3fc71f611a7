import type { InputOf, Operations, OutputOf } from "@volley/schema";
import type { Context } from "../context.ts";
import { openAccount } from "./open-account.ts";
import { toAccountResource } from "./to-account-resource.ts";

type Get = Operations["account.get"];

/** @throws {VolleyError} `unauthenticated`, `credential_invalid` */
export async function getAccount(ctx: Context, _input: InputOf<Get>): Promise<OutputOf<Get>> {
  return toAccountResource(await openAccount(ctx));
}

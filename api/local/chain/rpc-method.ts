import { isAddress, isBlockhash, isSignature } from "@solana/kit";
import { z } from "zod";
import type { ChainState } from "./chain-state.ts";
import { invalidParams, minContextSlotNotReached } from "./rpc-error.ts";
import type { TransactionRecord } from "./transaction-history.ts";

export type Commitment = "processed" | "confirmed" | "finalized";

/** The chain as one node sees it: a node that lags has an older tip. */
export interface ChainView {
  state: ChainState;
  /** The newest slot that this node knows. */
  tip: number;
  slotAt(commitment: Commitment): number;
  /** Takes a transaction into the chain, see DevelopmentChain.submit. */
  submit(wire: Uint8Array): TransactionRecord | null;
  /** Sends lamports from the faucet and answers the signature. */
  airdrop(address: string, lamports: bigint): string;
}

export type RpcMethod = (view: ChainView, params: readonly unknown[]) => unknown;

/** The parameters by their schema, a tuple; absent trailing ones may be left out. Throws RpcError -32602. */
export function checkParams<Schema extends z.ZodType>(schema: Schema, params: readonly unknown[]): z.output<Schema> {
  const parsed = schema.safeParse(params);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw invalidParams(`Invalid params: ${issue?.path.join(".") || "params"}: ${issue?.message ?? "not understood"}`);
}

export function rpcMethod<Schema extends z.ZodType>(
  schema: Schema,
  answer: (view: ChainView, params: z.output<Schema>) => unknown,
): RpcMethod {
  return (view, params) => answer(view, checkParams(schema, params));
}

export const addressParam = z.string().refine(isAddress, "expected an address: 32 bytes in base58");
export const signatureParam = z.string().refine(isSignature, "expected a signature: 64 bytes in base58");
export const blockhashParam = z.string().refine(isBlockhash, "expected a blockhash: 32 bytes in base58");

/** A whole number, as JSON number or as bigint from a caller in the same process. */
export const wholeParam = z
  .union([z.number().int().nonnegative(), z.bigint().nonnegative().transform(Number)])
  .pipe(z.number().max(Number.MAX_SAFE_INTEGER));
export const lamportsParam = z.union([
  z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER).transform(BigInt),
  z.bigint().nonnegative(),
]);

export const commitmentParam = z.enum(["processed", "confirmed", "finalized"]);
export const contextFields = { commitment: commitmentParam.optional(), minContextSlot: wholeParam.optional() };
export const contextParam = z.object(contextFields).nullish();

export interface ContextConfig {
  commitment?: Commitment | undefined;
  minContextSlot?: number | undefined;
}

/** The slot that a call reads at. Throws RpcError -32016 when that is before the one the caller has seen. */
export function readSlot(view: ChainView, config: ContextConfig | null | undefined): number {
  const slot = view.slotAt(config?.commitment ?? "finalized");
  if (config?.minContextSlot !== undefined && slot < config.minContextSlot) throw minContextSlotNotReached(slot);
  return slot;
}

export const withContext = (slot: number, value: unknown) => ({ context: { apiVersion: apiVersion, slot }, value });

/** Block history is not served for slots in progress. */
export function readBlockSlot(view: ChainView, config: ContextConfig | null | undefined): number {
  if (config?.commitment === "processed") {
    throw invalidParams("Method does not support commitment below `confirmed`");
  }
  return readSlot(view, config);
}

/** Of the Agave release that litesvm's virtual machine is built from; the suffix says that this is no validator. */
export const apiVersion = "4.2.0-development";

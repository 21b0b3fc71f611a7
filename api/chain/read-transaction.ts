/** A node's answer to `getTransaction` in encoding `json`, checked and with every index resolved. */
import { getBase58Encoder } from "@solana/kit";
import { z } from "zod";
import { ChainError, type ChainInstruction, type ChainTransaction, type TokenBalance } from "../ports/chain.ts";

const whole = z.union([z.number().int().nonnegative(), z.bigint().nonnegative()]);
const small = whole.transform(Number);
/** Null for success. Its absence is no success: then the answer is not understood. */
export const transactionError = z.union([z.null(), z.string(), z.looseObject({})]);
const instruction = z.object({ programIdIndex: small, accounts: z.array(small), data: z.string() });
const tokenBalance = z.object({
  accountIndex: small,
  mint: z.string(),
  owner: z.string().nullish(),
  programId: z.string().nullish(),
  uiTokenAmount: z.object({ amount: z.string().regex(/^[0-9]{1,20}$/) }),
});
const answer = z.object({
  slot: whole.transform(BigInt),
  blockTime: small.nullish(),
  transaction: z.object({
    signatures: z.array(z.string()).min(1),
    message: z.object({ accountKeys: z.array(z.string()), instructions: z.array(instruction) }),
  }),
  meta: z.object({
    err: transactionError,
    innerInstructions: z.array(z.object({ index: small, instructions: z.array(instruction) })).nullish(),
    loadedAddresses: z.object({ writable: z.array(z.string()), readonly: z.array(z.string()) }).nullish(),
    preTokenBalances: z.array(tokenBalance).nullish(),
    postTokenBalances: z.array(tokenBalance).nullish(),
  }),
});

/** @throws {ChainError} when the answer is not a whole transaction */
export function readTransaction(signature: string, raw: unknown): ChainTransaction {
  const parsed = answer.safeParse(raw);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new ChainError(`the node's answer about ${signature} is not understood: ${issue?.path.join(".")}`);
  }
  const { slot, blockTime, transaction, meta } = parsed.data;
  const { message } = transaction;
  const accountKeys = [
    ...message.accountKeys,
    ...(meta.loadedAddresses?.writable ?? []),
    ...(meta.loadedAddresses?.readonly ?? []),
  ];
  const resolve = (compiled: z.output<typeof instruction>) => resolveInstruction(signature, compiled, accountKeys);
  const innerOf = new Map(meta.innerInstructions?.map((group) => [group.index, group.instructions]));
  return {
    signature,
    signatures: transaction.signatures,
    slot,
    blockTimeSeconds: blockTime ?? null,
    failed: meta.err !== null,
    accountKeys,
    instructions: message.instructions.flatMap((compiled, index) => [
      resolve(compiled),
      ...(innerOf.get(index) ?? []).map(resolve),
    ]),
    preTokenBalances: (meta.preTokenBalances ?? []).map(readBalance),
    postTokenBalances: (meta.postTokenBalances ?? []).map(readBalance),
  };
}

function resolveInstruction(
  signature: string,
  compiled: z.output<typeof instruction>,
  accountKeys: readonly string[],
): ChainInstruction {
  const key = (index: number): string => {
    const found = accountKeys[index];
    if (found === undefined) throw new ChainError(`the node's answer about ${signature} lacks account ${index}`);
    return found;
  };
  return {
    programId: key(compiled.programIdIndex),
    accounts: compiled.accounts.map(key),
    data: decodeBase58(signature, compiled.data),
  };
}

const base58 = getBase58Encoder();

function decodeBase58(signature: string, text: string): Uint8Array {
  try {
    return Uint8Array.from(base58.encode(text));
  } catch (cause) {
    throw new ChainError(`the node's answer about ${signature} has data that is not base58`, { cause });
  }
}

const readBalance = (balance: z.output<typeof tokenBalance>): TokenBalance => ({
  accountIndex: balance.accountIndex,
  mint: balance.mint,
  owner: balance.owner ?? null,
  programId: balance.programId ?? null,
  amount: BigInt(balance.uiTokenAmount.amount),
});

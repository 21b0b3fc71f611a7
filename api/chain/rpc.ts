/** The chain over a node's JSON-RPC interface, through kit. Runs in Node and in Workers. */
import {
  address,
  type Base64EncodedWireTransaction,
  type Blockhash,
  createSolanaRpc,
  getBase58Decoder,
  isSolanaError,
  signature as parseSignature,
  type Rpc,
  type Signature,
  SOLANA_ERROR__JSON_RPC__INVALID_PARAMS,
  SOLANA_ERROR__JSON_RPC__SERVER_ERROR_UNSUPPORTED_TRANSACTION_VERSION,
  SOLANA_ERROR__TRANSACTION_ERROR__ALREADY_PROCESSED,
  type SolanaRpcApi,
  type TransactionVersion,
} from "@solana/kit";
import { TOKEN_PROGRAM_ADDRESS } from "@solana-program/token";
import { z } from "zod";
import { type Chain, ChainError, type ChainTransaction, type SignatureInfo } from "../ports/chain.ts";
import type { Clock } from "../ports/clock.ts";
import { readTransaction, transactionError } from "./read-transaction.ts";
import { type CallLimits, callNode } from "./rpc-call.ts";

export interface RpcChainOptions {
  /** For the pauses between tries. */
  readonly clock: Clock;
  /** For one try of one call. */
  readonly timeoutMs?: number;
  readonly tries?: number;
  /** The slot that an answer must not be older than. */
  readonly floor?: (commitment: Level) => bigint;
  /** Told of every slot that the node is seen to have reached. */
  readonly onSlot?: (commitment: Level, slot: bigint) => void;
}

/** The levels at which the payment code reads. */
export type Level = "confirmed" | "finalized";

const TIMEOUT_MS = 5_000;
const TRIES = 3;

/** The chain as the node at this address sees it; being one node, it is a quorum of its own. */
export function rpcChainAt(url: string, options: RpcChainOptions): Chain {
  return rpcChain(createSolanaRpc(url), options);
}

/** The chain through a client of kit, whatever its transport. */
export function rpcChain(rpc: Rpc<SolanaRpcApi>, options: RpcChainOptions): Chain {
  const limits: CallLimits = {
    clock: options.clock,
    timeoutMs: options.timeoutMs ?? TIMEOUT_MS,
    tries: options.tries ?? TRIES,
  };
  const onSlot = options.onSlot ?? (() => undefined);
  const notBefore = (commitment: Level) => {
    const floor = options.floor?.(commitment) ?? 0n;
    return floor > 0n ? { minContextSlot: floor } : {};
  };
  const readSlot = async (commitment: Level) => {
    const request = rpc.getSlot({ commitment, ...notBefore(commitment) });
    const slot = understand("getSlot", whole, await callNode(limits, "getSlot", request));
    onSlot(commitment, slot);
    return slot;
  };
  const readTransactionAt = transactionReader(rpc, limits);
  const accountInfo = async (at: string, commitment: Level) => {
    const request = rpc.getAccountInfo(address(at), { commitment, encoding: "base64", ...notBefore(commitment) });
    const answer = await callNode(limits, "getAccountInfo", request);
    const { context, value } = understand("getAccountInfo", accountAnswer, answer);
    onSlot(commitment, context.slot);
    return value;
  };

  return {
    async signaturesForAddress(at, { before, until, untilSlot = 0n, limit, commitment }) {
      const config = {
        commitment,
        limit: limit ?? 1_000,
        ...notBefore(commitment),
        ...(before === undefined ? {} : { before: parseSignature(before) }),
        ...(until === undefined ? {} : { until: parseSignature(until) }),
      };
      const listed = await callNode(
        limits,
        "getSignaturesForAddress",
        rpc.getSignaturesForAddress(address(at), config),
      );
      const entries = readSignatures(listed);
      const end = entries.findIndex((entry) => entry.slot < untilSlot);
      return end === -1 ? entries : entries.slice(0, end);
    },

    async transaction(signature, commitment) {
      const transaction = await readTransactionAt(signature, commitment);
      // This method takes no lowest slot, so a node that knows nothing has to show that it isn't behind.
      if (transaction === null && options.floor !== undefined && options.floor(commitment) > 0n) {
        await readSlot(commitment);
      }
      return transaction;
    },

    async signatureStatus(signature) {
      const request = rpc.getSignatureStatuses([parseSignature(signature)], { searchTransactionHistory: true });
      const answer = await callNode(limits, "getSignatureStatuses", request);
      const { context, value } = understand("getSignatureStatuses", statusAnswer, answer);
      const [status] = value;
      if (status === null || status === undefined) {
        if (context.slot < (options.floor?.("confirmed") ?? 0n)) {
          throw new ChainError(`getSignatureStatuses was answered as of slot ${context.slot}, which is long past`);
        }
        return null;
      }
      return {
        commitment: status.confirmationStatus ?? (status.confirmations == null ? "finalized" : "processed"),
        failed: status.err !== null,
      };
    },

    async latestBlockhash() {
      const request = rpc.getLatestBlockhash({ commitment: "confirmed", ...notBefore("confirmed") });
      const answer = await callNode(limits, "getLatestBlockhash", request);
      const { context, value } = understand("getLatestBlockhash", blockhashAnswer, answer);
      onSlot("confirmed", context.slot);
      return { blockhash: value.blockhash, lastValidBlockHeight: value.lastValidBlockHeight };
    },

    async isBlockhashValid(blockhash) {
      // Clients take theirs from newer blocks than those that we read.
      const request = rpc.isBlockhashValid(blockhash as Blockhash, {
        commitment: "processed",
        ...notBefore("confirmed"),
      });
      const answer = await callNode(limits, "isBlockhashValid", request);
      return understand("isBlockhashValid", validityAnswer, answer).value;
    },

    async blockHeight(commitment) {
      const request = rpc.getBlockHeight({ commitment, ...notBefore(commitment) });
      return understand("getBlockHeight", whole, await callNode(limits, "getBlockHeight", request));
    },

    slot: readSlot,

    async sendTransaction(transactionBase64) {
      const request = rpc.sendTransaction(transactionBase64 as Base64EncodedWireTransaction, {
        encoding: "base64",
        preflightCommitment: "confirmed",
      });
      try {
        await callNode(limits, "sendTransaction", request);
      } catch (error) {
        if (!isAlreadyProcessed(error)) throw error;
      }
    },

    async tokenBalance(tokenAccount, commitment) {
      const account = await accountInfo(tokenAccount, commitment);
      if (account === null || account.owner !== TOKEN_PROGRAM_ADDRESS) return null;
      return readTokenAmount(tokenAccount, account.data[0]);
    },

    async lamports(at) {
      return (await accountInfo(at, "confirmed"))?.lamports ?? 0n;
    },

    async tokenAccount(at) {
      const account = await accountInfo(at, "confirmed");
      if (account === null || account.owner !== TOKEN_PROGRAM_ADDRESS) return null;
      const bytes = tokenAccountBytes(at, account.data[0]);
      const owner = getBase58Decoder().decode(bytes.slice(OWNER_OFFSET, OWNER_OFFSET + 32));
      return { owner, isFrozen: bytes[STATE_OFFSET] === FROZEN };
    },

    async accountOwner(at) {
      return (await accountInfo(at, "confirmed"))?.owner ?? null;
    },
  };
}

/**
 * The newest transaction format that nodes are asked for: effects are read from the node's own JSON, which needs no
 * decoder for the format. Nodes that don't take such a number are asked for less.
 */
const VERSIONS = [127, 1, 0];

function transactionReader(rpc: Rpc<SolanaRpcApi>, limits: CallLimits) {
  let accepted = 0;
  const read = (signature: Signature, commitment: Level, version: number) => {
    const config = {
      commitment,
      encoding: "json",
      maxSupportedTransactionVersion: version as TransactionVersion,
    } as const;
    return callNode(limits, "getTransaction", rpc.getTransaction(signature, config));
  };
  return async (text: string, commitment: Level): Promise<ChainTransaction | null> => {
    const signature = parseSignature(text);
    for (let index = accepted; index < VERSIONS.length; index++) {
      try {
        const answer = await read(signature, commitment, VERSIONS[index] ?? 0);
        accepted = index;
        return answer === null ? null : readTransaction(text, answer);
      } catch (error) {
        const cause = error instanceof ChainError ? error.cause : error;
        const refused =
          isSolanaError(cause, SOLANA_ERROR__JSON_RPC__INVALID_PARAMS) ||
          isSolanaError(cause, SOLANA_ERROR__JSON_RPC__SERVER_ERROR_UNSUPPORTED_TRANSACTION_VERSION);
        if (!refused || index === VERSIONS.length - 1) throw error;
      }
    }
    throw new ChainError(`no node format for ${text}`);
  };
}

const whole = z.union([z.number().int().nonnegative(), z.bigint().nonnegative()]).transform(BigInt);
const context = z.object({ slot: whole });
const accountAnswer = z.object({
  context,
  value: z.object({ lamports: whole, owner: z.string(), data: z.tuple([z.string()], z.unknown()) }).nullable(),
});
const statusAnswer = z.object({
  context,
  value: z.array(
    z
      .object({
        confirmationStatus: z.enum(["processed", "confirmed", "finalized"]).nullish(),
        confirmations: whole.nullish(),
        err: transactionError,
      })
      .nullable(),
  ),
});
const blockhashAnswer = z.object({
  context,
  value: z.object({ blockhash: z.string(), lastValidBlockHeight: whole }),
});

/** Nodes are not to be relied on for the form of their answers either. */
function understand<Schema extends z.ZodType>(method: string, schema: Schema, answer: unknown): z.output<Schema> {
  const parsed = schema.safeParse(answer);
  if (!parsed.success) throw new ChainError(`the node's answer to ${method} is not understood`);
  return parsed.data;
}

const validityAnswer = z.object({ context, value: z.boolean() });

const signatureList = z.array(
  z.object({
    signature: z.string(),
    slot: whole,
    err: transactionError,
    blockTime: z.union([z.number().int(), z.bigint()]).transform(Number).nullish(),
  }),
);

function readSignatures(listed: unknown): SignatureInfo[] {
  return understand("getSignaturesForAddress", signatureList, listed).map(({ signature, slot, err, blockTime }) => ({
    signature,
    slot,
    failed: err !== null,
    blockTimeSeconds: blockTime ?? null,
  }));
}

function isAlreadyProcessed(error: unknown): boolean {
  for (let current = error; current instanceof Error; current = current.cause) {
    if (isSolanaError(current, SOLANA_ERROR__TRANSACTION_ERROR__ALREADY_PROCESSED)) return true;
  }
  return false;
}

/** The layout of an account of the Token program: after mint and owner, 32 bytes each, comes the amount. */
const AMOUNT_OFFSET = 64;
const OWNER_OFFSET = 32;
const STATE_OFFSET = 108;
const FROZEN = 2;
const ACCOUNT_BYTES = 165;

function readTokenAmount(tokenAccount: string, base64: string): bigint {
  return new DataView(tokenAccountBytes(tokenAccount, base64).buffer).getBigUint64(AMOUNT_OFFSET, true);
}

function tokenAccountBytes(tokenAccount: string, base64: string): Uint8Array<ArrayBuffer> {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  if (bytes.length !== ACCOUNT_BYTES) throw new ChainError(`${tokenAccount} is not a token account`);
  return bytes;
}

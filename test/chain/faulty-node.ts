/**
 * A Solana node that can be told to fail or to lie, over the development chain: as a transport for kit, or as a
 * server that programs reach over HTTP. What nodes really do by chance is in `faultyTransport`; here each fault is
 * switched on and off, and stays.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import {
  getBase58Decoder,
  getBase58Encoder,
  isJsonRpcPayload,
  isSolanaError,
  type RpcTransport,
  SOLANA_ERROR__RPC__TRANSPORT_HTTP_ERROR,
} from "@solana/kit";
import { DevelopmentChain } from "../../api/local/chain/development-chain.ts";
import { type ChainFaults, faultyTransport } from "../../api/local/chain/faulty-transport.ts";
import { printJson } from "../../api/local/chain/json-rpc.ts";

export type NodeFault =
  /** Takes the request and never answers. */
  | "hangs"
  /** The connection breaks. */
  | "down"
  /** HTTP 429. */
  | "rate limits"
  /** Answers as of 40 slots ago, which is longer than it takes to be final. */
  | "lags"
  /** Shows a fork that split off when the fault began. */
  | "is on a fork"
  /** Knows no transaction, whatever it lists. */
  | "answers null"
  /** Leaves entries out of its lists. */
  | "truncates lists"
  /** Lists nothing. */
  | "lists nothing"
  /** Entries of one slot in another order, and some of them twice. */
  | "reorders and repeats lists"
  /** Lists every transaction as failed. */
  | "lists all as failed"
  /** Lists transactions that don't exist. */
  | "invents signatures"
  /** Ten times as much has been transferred. */
  | "exaggerates amounts"
  /** A tenth of it. */
  | "belittles amounts"
  /** Every transaction has failed. */
  | "calls all failed"
  /** Every token account is frozen by its issuer. */
  | "calls accounts frozen"
  /** Slots, heights and last valid heights are far too high. */
  | "slots from the future"
  /** Slots, heights and last valid heights are far too low. */
  | "slots from the past"
  /** Shows no transaction, because it were of a version that the caller doesn't know. */
  | "refuses versions"
  /** Answers with what is no answer. */
  | "talks nonsense";

export const NODE_FAULTS: readonly NodeFault[] = [
  "hangs",
  "down",
  "rate limits",
  "lags",
  "is on a fork",
  "answers null",
  "truncates lists",
  "lists nothing",
  "reorders and repeats lists",
  "lists all as failed",
  "invents signatures",
  "exaggerates amounts",
  "belittles amounts",
  "calls all failed",
  "calls accounts frozen",
  "slots from the future",
  "slots from the past",
  "refuses versions",
  "talks nonsense",
];

const LAG_SLOTS = 40;
const SLOT_LIE = 5_000n;
const INVENTED = 20;

/** Faults that the development chain's own transport has, when they always happen. */
const BY_CHANCE: Partial<Record<NodeFault, Partial<ChainFaults>>> = {
  "rate limits": { rateLimit: 1 },
  down: { droppedRequest: 1 },
  lags: { laggingNode: 1, maxLagSlots: LAG_SLOTS },
  "answers null": { missingTransaction: 1 },
  "truncates lists": { truncatedSignatures: 1 },
  "reorders and repeats lists": { reorderedSignatures: 1, duplicateDelivery: 1 },
  "refuses versions": { unsupportedVersion: 1 },
};

type Json = Record<string, unknown>;

export class FaultyNode {
  readonly #chain: DevelopmentChain;
  readonly #random: () => number;
  #fault: NodeFault | null = null;
  #fork: DevelopmentChain | null = null;
  /** How often each method was called. */
  readonly calls = new Map<string, number>();

  /** @param random from 0 up to 1; decides which entries a list lacks */
  constructor(chain: DevelopmentChain, random: () => number = () => 0.3) {
    this.#chain = chain;
    this.#random = random;
  }

  set fault(fault: NodeFault | null) {
    this.#fault = fault;
    this.#fork =
      fault === "is on a fork"
        ? new DevelopmentChain({ ...this.#chain.state.settings, snapshot: this.#chain.snapshot() })
        : null;
  }

  readonly transport: RpcTransport = async <Answer>(config: Parameters<RpcTransport>[0]): Promise<Answer> => {
    const { payload, signal } = config;
    if (!isJsonRpcPayload(payload)) throw new TypeError("no JSON-RPC");
    const { method } = payload;
    this.calls.set(method, (this.calls.get(method) ?? 0) + 1);
    const fault = this.#fault;
    if (fault === "hangs") return await untilAborted(signal);
    if (fault === "talks nonsense") return { jsonrpc: "2.0", id: 1, result: { nonsense: [method] } } as Answer;
    const params = (payload.params ?? []) as unknown[];
    const answer = (await this.#honest(fault)<Json>(config)) as Json;
    return { ...answer, result: distort(fault, method, params, answer.result) } as Answer;
  };

  #honest(fault: NodeFault | null): RpcTransport {
    if (this.#fork !== null) {
      // Its blocks come as fast as the others'.
      const behind = this.#chain.slot - this.#fork.slot;
      if (behind > 0) this.#fork.advanceSlot((this.#chain.state.blockTime(this.#chain.slot) ?? 0) * 1000, behind);
      return faultyTransport(this.#fork);
    }
    // So near to 1 that the lag is the longest there is.
    const random = fault === "lags" ? () => 0.999 : this.#random;
    return faultyTransport(this.#chain, (fault === null ? undefined : BY_CHANCE[fault]) ?? {}, random);
  }

  /** Serves the node over HTTP on a port of its own. */
  async listen(): Promise<{ readonly url: string; close(): Promise<void> }> {
    const server = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const gone = new AbortController();
      response.once("close", () => gone.abort());
      try {
        const payload: unknown = JSON.parse(Buffer.concat(chunks).toString("utf8"));
        const answer = await this.transport({ payload, signal: gone.signal });
        response.setHeader("content-type", "application/json");
        response.end(printJson(answer));
      } catch (error) {
        if (!isSolanaError(error, SOLANA_ERROR__RPC__TRANSPORT_HTTP_ERROR)) return response.destroy();
        response.writeHead(error.context.statusCode, { "retry-after": "1" }).end();
      }
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    return {
      url: `http://127.0.0.1:${port}`,
      close: async () => {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      },
    };
  }
}

function untilAborted<Answer>(signal: AbortSignal | undefined): Promise<Answer> {
  return new Promise((_resolve, reject) => {
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

function distort(fault: NodeFault | null, method: string, params: readonly unknown[], result: unknown): unknown {
  if (result === undefined || fault === null) return result;
  if (method === "getSignaturesForAddress") return distortList(fault, params, result as Json[]);
  if (method === "getTransaction") return result === null ? null : distortTransaction(fault, result as Json);
  if (method === "getSignatureStatuses") return distortStatuses(fault, result as Json);
  if (fault === "calls accounts frozen" && method === "getAccountInfo") return frozen(result as Json);
  if (fault === "slots from the future") return shifted(result, SLOT_LIE);
  return fault === "slots from the past" ? shifted(result, -SLOT_LIE) : result;
}

function distortList(fault: NodeFault, params: readonly unknown[], list: Json[]): unknown {
  if (fault === "lists nothing") return [];
  if (fault === "lists all as failed") return list.map((entry) => ({ ...entry, err: "AccountNotFound" }));
  if (fault === "reorders and repeats lists")
    return list.flatMap((entry, index) => (index % 2 ? [entry] : [entry, entry]));
  if (fault !== "invents signatures" || "before" in (params[1] as Json)) return list;
  const invented = Array.from({ length: INVENTED }, (_, index) => ({
    signature: getBase58Decoder().decode(new Uint8Array(64).fill(index + 1)),
    slot: 1_000_000_000n,
    err: null,
    blockTime: null,
    memo: null,
  }));
  return [...invented, ...list];
}

function distortTransaction(fault: NodeFault, transaction: Json): unknown {
  const meta = transaction.meta as Json;
  if (fault === "calls all failed")
    return { ...transaction, meta: { ...meta, err: { InstructionError: [0, "Custom"] } } };
  if (fault === "exaggerates amounts") return scaled(transaction, (amount) => amount * 10n);
  if (fault === "belittles amounts") return scaled(transaction, (amount) => amount / 10n);
  if (fault === "slots from the future") return { ...transaction, slot: (transaction.slot as bigint) + SLOT_LIE };
  return transaction;
}

function distortStatuses(fault: NodeFault, result: Json): unknown {
  const { value } = result as { value: (Json | null)[] };
  if (fault === "answers null") return { ...result, value: value.map(() => null) };
  if (fault !== "calls all failed") return result;
  return { ...result, value: value.map((status) => status && { ...status, err: "AccountNotFound" }) };
}

/** SPL Token's account layout: 165 bytes, the state at 108, 2 of which is frozen. */
function frozen(result: Json): unknown {
  const value = result.value as { data: [string, string] } | null;
  if (value === null) return result;
  const bytes = Buffer.from(value.data[0], "base64");
  if (bytes.length === 165) bytes[108] = 2;
  return { ...result, value: { ...value, data: [bytes.toString("base64"), value.data[1]] } };
}

/** Slots, heights and what depends on them. */
function shifted(value: unknown, by: bigint): unknown {
  if (typeof value === "bigint") return value + by < 0n ? 0n : value + by;
  if (typeof value !== "object" || value === null) return value;
  const { context, value: inner } = value as { context?: Json; value?: Json };
  if (context === undefined) return value;
  const heights =
    inner !== null && typeof inner === "object" && "lastValidBlockHeight" in inner
      ? { ...inner, lastValidBlockHeight: (inner.lastValidBlockHeight as bigint) + by }
      : inner;
  return { context: { ...context, slot: shifted(context.slot, by) }, value: heights };
}

interface CompiledInstruction {
  readonly data: string;
}

/** Transfers of another amount, in instructions and balances alike. */
function scaled(transaction: Json, scale: (amount: bigint) => bigint): unknown {
  const { message } = transaction.transaction as { message: { instructions: CompiledInstruction[] } };
  const meta = transaction.meta as { preTokenBalances: TokenBalance[]; postTokenBalances: TokenBalance[] };
  const postTokenBalances = meta.postTokenBalances.map((post) => {
    const pre = meta.preTokenBalances.find((each) => each.accountIndex === post.accountIndex);
    const before = BigInt(pre?.uiTokenAmount.amount ?? 0);
    const gained = BigInt(post.uiTokenAmount.amount) - before;
    const amount = `${gained > 0n ? before + scale(gained) : before + gained}`;
    return { ...post, uiTokenAmount: { ...post.uiTokenAmount, amount } };
  });
  const instructions = message.instructions.map((each) => ({ ...each, data: scaledTransfer(each.data, scale) }));
  return {
    ...transaction,
    transaction: { ...(transaction.transaction as Json), message: { ...message, instructions } },
    meta: { ...meta, postTokenBalances },
  };
}

interface TokenBalance {
  readonly accountIndex: bigint;
  readonly uiTokenAmount: { readonly amount: string };
}

const TRANSFER_CHECKED = 12;

function scaledTransfer(text: string, scale: (amount: bigint) => bigint): string {
  const data = Uint8Array.from(getBase58Encoder().encode(text));
  if (data[0] !== TRANSFER_CHECKED || data.length !== 10) return text;
  const view = new DataView(data.buffer);
  view.setBigUint64(1, scale(view.getBigUint64(1, true)), true);
  return getBase58Decoder().decode(data);
}

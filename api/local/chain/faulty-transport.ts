import { isJsonRpcPayload, type RpcTransport, SOLANA_ERROR__RPC__TRANSPORT_HTTP_ERROR, SolanaError } from "@solana/kit";
import type { DevelopmentChain } from "./development-chain.ts";
import { minContextSlotNotReached, RpcError, unsupportedTransactionVersion } from "./rpc-error.ts";

/** How often, from 0 to 1, a call meets each of the things that go wrong with RPC nodes. All are absent by default. */
export interface ChainFaults {
  /** The call never reaches the node. */
  droppedRequest: number;
  /** The node does what was asked, but its answer is lost. */
  droppedResponse: number;
  /** The request arrives twice; the second answer is the one that comes back. */
  duplicateDelivery: number;
  /** HTTP 429. */
  rateLimit: number;
  /** A read is answered as of up to `maxLagSlots` slots ago. */
  laggingNode: number;
  maxLagSlots: number;
  /** getTransaction answers null although the transaction is listed. */
  missingTransaction: number;
  /** getSignaturesForAddress lacks some entries at its newer or older end, or in between. */
  truncatedSignatures: number;
  /** getSignaturesForAddress gives entries of one slot in another order. */
  reorderedSignatures: number;
  /** getTransaction and getBlock refuse with -32015. */
  unsupportedVersion: number;
  /** A call with a context refuses with -32016. */
  minContextSlot: number;
}

const none: ChainFaults = {
  droppedRequest: 0,
  droppedResponse: 0,
  duplicateDelivery: 0,
  rateLimit: 0,
  laggingNode: 0,
  maxLagSlots: 8,
  missingTransaction: 0,
  truncatedSignatures: 0,
  reorderedSignatures: 0,
  unsupportedVersion: 0,
  minContextSlot: 0,
};

const writes = ["sendTransaction", "requestAirdrop"];

/**
 * A transport for kit's createSolanaRpcFromTransport that calls the chain in this process, with faults by chance.
 *
 * @param random a number from 0 up to 1; a seeded one makes every fault repeatable. It is asked only about faults
 *   that are switched on.
 * @param onFault told of every fault that was injected
 */
export function faultyTransport(
  chain: DevelopmentChain,
  faults: Partial<ChainFaults> = {},
  random: () => number = () => 1,
  onFault: (fault: keyof ChainFaults) => void = () => undefined,
): RpcTransport {
  const rates = { ...none, ...faults };
  const happens = (fault: keyof ChainFaults) => {
    if (rates[fault] <= 0 || random() >= rates[fault]) return false;
    onFault(fault);
    return true;
  };
  const whole = (limit: number) => Math.floor(random() * limit);

  const answer = (method: string, params: readonly unknown[]): unknown => {
    if (method.startsWith("get") && happens("minContextSlot")) throw minContextSlotNotReached(chain.slot);
    if (method === "getTransaction" || method === "getBlock") {
      if (happens("unsupportedVersion")) throw unsupportedTransactionVersion(1);
      if (method === "getTransaction" && happens("missingTransaction")) return null;
    }
    const lags = !writes.includes(method) && happens("laggingNode");
    const lagSlots = lags ? 1 + whole(rates.maxLagSlots) : 0;
    if (happens("duplicateDelivery")) chain.call(method, params, lagSlots);
    const result = chain.call(method, params, lagSlots);
    if (method !== "getSignaturesForAddress") return result;
    let page = result as SignatureEntry[];
    if (happens("reorderedSignatures")) page = shuffledWithinSlots(page, whole);
    if (happens("truncatedSignatures")) page = withGap(page, whole);
    return page;
  };

  return async <TResponse>({ payload, signal }: Parameters<RpcTransport>[0]): Promise<TResponse> => {
    signal?.throwIfAborted();
    if (!isJsonRpcPayload(payload)) throw new TypeError("The payload is not a JSON-RPC 2.0 request");
    const { id } = payload as { id?: unknown };
    if (happens("rateLimit")) throw tooManyRequests();
    if (happens("droppedRequest")) throw new TypeError("The request was lost");
    const response = asKitParses(respond(id, () => answer(payload.method, (payload.params ?? []) as unknown[])));
    if (happens("droppedResponse")) throw new TypeError("The response was lost");
    return response as TResponse;
  };
}

function respond(id: unknown, answer: () => unknown) {
  try {
    return { jsonrpc: "2.0", id, result: answer() };
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    const { code, message, data } = error;
    return { jsonrpc: "2.0", id, error: { code, message, ...(data === undefined ? {} : { data }) } };
  }
}

/** A copy in which whole numbers are bigints: what kit's own transport makes of a response's JSON. */
function asKitParses(value: unknown): unknown {
  if (typeof value === "number" && Number.isInteger(value)) return BigInt(value);
  if (Array.isArray(value)) return value.map(asKitParses);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, asKitParses(each)]));
}

interface SignatureEntry {
  slot: number;
}

/** Order inside a slot means nothing, and nodes differ in it. */
function shuffledWithinSlots(page: SignatureEntry[], whole: (limit: number) => number): SignatureEntry[] {
  const shuffled = [...page];
  for (let index = shuffled.length - 1; index > 0; index--) {
    const other = whole(index + 1);
    const one = shuffled[index];
    const two = shuffled[other];
    if (one === undefined || two === undefined || one.slot !== two.slot) continue;
    shuffled[index] = two;
    shuffled[other] = one;
  }
  return shuffled;
}

function withGap(page: SignatureEntry[], whole: (limit: number) => number): SignatureEntry[] {
  const start = whole(page.length + 1);
  return page.toSpliced(start, 1 + whole(page.length));
}

const tooManyRequests = () =>
  new SolanaError(SOLANA_ERROR__RPC__TRANSPORT_HTTP_ERROR, {
    statusCode: 429,
    message: "Too Many Requests",
    headers: new Headers({ "retry-after": "1" }),
  });

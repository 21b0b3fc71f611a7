import { z } from "zod";
import { decodeBase58, decodeBase64 } from "../bytes.ts";
import { type DecodedTransaction, decodeTransaction, maxWireBytes, replaceBlockhash } from "../decode-transaction.ts";
import { encodeAccount } from "../encode-account.ts";
import { encodeInnerInstructions, encodeReturnData } from "../encode-transaction.ts";
import { feeOfMessage } from "../fee.ts";
import { invalidParams, RpcError, signatureVerificationFailed } from "../rpc-error.ts";
import {
  addressParam,
  type ChainView,
  commitmentParam,
  contextFields,
  lamportsParam,
  type RpcMethod,
  readSlot,
  rpcMethod,
  wholeParam,
  withContext,
} from "../rpc-method.ts";
import type { Simulation } from "../svm.ts";
import { describeTransactionError } from "../transaction-error.ts";

/** The longest text that can be a transaction: base58 needs 138 characters for 100 bytes. */
const maxTextCharacters = Math.ceil(maxWireBytes * 1.38);
const maxSimulatedAccounts = 64;
/** SIMD-0186: what an account and a lookup table count beyond their data. */
const accountBaseBytes = 64;
const lookupTableBytes = 8_248;

const wireEncoding = z.enum(["base58", "base64"]);

const sendConfig = z
  .object({
    encoding: wireEncoding.optional(),
    skipPreflight: z.boolean().nullish(),
    preflightCommitment: commitmentParam.nullish(),
    maxRetries: wholeParam.nullish(),
    minContextSlot: wholeParam.optional(),
  })
  .nullish();

const simulateConfig = z
  .object({
    ...contextFields,
    encoding: wireEncoding.optional(),
    sigVerify: z.boolean().optional(),
    replaceRecentBlockhash: z.boolean().optional(),
    innerInstructions: z.boolean().optional(),
    accounts: z
      .object({
        addresses: z.array(addressParam).max(maxSimulatedAccounts),
        encoding: z.enum(["base64", "jsonParsed"]).optional(),
      })
      .nullish(),
  })
  .nullish();

function readWire(text: string, encoding: "base58" | "base64" | undefined): Uint8Array {
  if (text.length > maxTextCharacters) {
    throw invalidParams(`transaction too large: ${text.length} characters (max: ${maxTextCharacters})`);
  }
  if (encoding === "base64") {
    const bytes = decodeBase64(text);
    if (bytes === null) throw invalidParams("invalid base64 encoding of the transaction");
    return bytes;
  }
  try {
    return decodeBase58(text);
  } catch (error) {
    throw invalidParams(
      `invalid base58 encoding of the transaction: ${error instanceof Error ? error.message : error}`,
    );
  }
}

const notRun = (err: string): Simulation => ({
  err,
  logs: [],
  innerInstructions: [],
  computeUnitsConsumed: 0,
  returnData: null,
  postAccounts: new Map(),
});

/** Runs a transaction as if it landed now; its blockhash must be known at `slot`. Accounts are those of the tip. */
function simulateAt(view: ChainView, transaction: DecodedTransaction, slot: number, verify: boolean): Simulation {
  if (view.state.history.bySignature(transaction.signature) !== undefined) return notRun("AlreadyProcessed");
  if (!view.state.isLive(transaction, slot)) return notRun("BlockhashNotFound");
  return view.state.simulate(transaction.wire, verify);
}

function loadedBytes(view: ChainView, transaction: DecodedTransaction, keys: readonly string[]): number {
  const accounts = keys.reduce(
    (total, key) => total + accountBaseBytes + (view.state.svm.account(key)?.data.length ?? 0),
    0,
  );
  return accounts + transaction.lookups.length * lookupTableBytes;
}

function keysOf(view: ChainView, transaction: DecodedTransaction): string[] {
  const { writable, readonly } = view.state.loadedAddresses(transaction);
  return [...transaction.staticKeys, ...writable, ...readonly];
}

function preflight(view: ChainView, transaction: DecodedTransaction, slot: number): void {
  const simulation = simulateAt(view, transaction, slot, true);
  if (simulation.err === null) return;
  if (simulation.err === "SignatureFailure") throw signatureVerificationFailed();
  throw new RpcError(-32002, `Transaction simulation failed: ${describeTransactionError(simulation.err)}`, {
    accounts: null,
    err: simulation.err,
    innerInstructions: null,
    loadedAccountsDataSize: loadedBytes(view, transaction, keysOf(view, transaction)),
    logs: simulation.logs,
    replacementBlockhash: null,
    returnData: encodeReturnData(simulation.returnData),
    unitsConsumed: simulation.computeUnitsConsumed,
  });
}

/** Sending and trying out transactions, and the faucet for SOL. */
export const sendingMethods: Record<string, RpcMethod> = {
  sendTransaction: rpcMethod(z.tuple([z.string(), sendConfig.optional()]), (view, [text, config]) => {
    const transaction = decodeTransaction(readWire(text, config?.encoding));
    const slot = readSlot(view, {
      commitment: config?.preflightCommitment ?? "finalized",
      minContextSlot: config?.minContextSlot,
    });
    const isDuplicate = view.state.history.bySignature(transaction.signature) !== undefined;
    if (!isDuplicate && config?.skipPreflight !== true) preflight(view, transaction, slot);
    view.submit(transaction.wire);
    return transaction.signature;
  }),

  simulateTransaction: rpcMethod(z.tuple([z.string(), simulateConfig.optional()]), (view, [text, config]) => {
    const slot = readSlot(view, config);
    const replaces = config?.replaceRecentBlockhash === true;
    if (replaces && config.sigVerify === true) {
      throw invalidParams("sigVerify may not be used with replaceRecentBlockhash");
    }
    const given = decodeTransaction(readWire(text, config?.encoding));
    const transaction = replaces ? replaceBlockhash(given, view.state.blockhash(slot)) : given;
    const simulation = simulateAt(view, transaction, slot, config?.sigVerify === true);
    if (simulation.err === "SignatureFailure") throw signatureVerificationFailed();
    const keys = keysOf(view, transaction);
    const read = (address: string) => simulation.postAccounts.get(address) ?? view.state.svm.account(address);
    const wanted = config?.accounts;
    const encoding = { encoding: wanted?.encoding ?? ("base64" as const) };
    return withContext(slot, {
      accounts: wanted ? wanted.addresses.map((address) => encodeAccount(read(address), encoding, read)) : null,
      err: simulation.err,
      fee: feeOfMessage(transaction),
      innerInstructions:
        config?.innerInstructions === true ? encodeInnerInstructions(simulation.innerInstructions, keys, true) : null,
      loadedAccountsDataSize: loadedBytes(view, transaction, keys),
      logs: simulation.logs,
      replacementBlockhash: replaces
        ? {
            blockhash: transaction.blockhash,
            lastValidBlockHeight: slot + view.state.settings.blockhashLifetimeBlocks,
          }
        : null,
      returnData: encodeReturnData(simulation.returnData),
      unitsConsumed: simulation.computeUnitsConsumed,
    });
  }),

  requestAirdrop: rpcMethod(
    z.tuple([addressParam, lamportsParam, z.object({ commitment: commitmentParam.optional() }).nullish().optional()]),
    (view, [address, lamports]) => view.airdrop(address, lamports),
  ),
};

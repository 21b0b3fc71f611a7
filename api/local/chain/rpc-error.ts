/**
 * A JSON-RPC error answer of the development chain.
 *
 * Codes and messages are those of Solana's RPC, because clients such as @solana/kit decide by them.
 */
export class RpcError extends Error {
  readonly code: number;
  readonly data: unknown;

  constructor(code: number, message: string, data?: unknown) {
    super(message);
    this.name = "RpcError";
    this.code = code;
    this.data = data;
  }
}

export const invalidParams = (message: string): RpcError => new RpcError(-32602, message);

export const methodNotFound = (method: string): RpcError =>
  new RpcError(-32601, `Method not found: ${method}. docs/local-chain.md lists the methods of the development chain.`);

export const minContextSlotNotReached = (contextSlot: number): RpcError =>
  new RpcError(-32016, "Minimum context slot has not been reached", { contextSlot });

export const blockNotAvailable = (slot: number): RpcError =>
  new RpcError(-32004, `Block not available for slot ${slot}`);

export const slotSkipped = (slot: number): RpcError =>
  new RpcError(-32009, `Slot ${slot} was skipped, or missing in long-term storage`);

export const signatureVerificationFailed = (): RpcError =>
  new RpcError(-32003, "Transaction signature verification failure");

export const unsupportedTransactionVersion = (version: number): RpcError =>
  new RpcError(
    -32015,
    `Transaction version (${version}) is not supported by the requesting client. Please try the request again with the following configuration parameter: "maxSupportedTransactionVersion": ${version}`,
  );

/** The contract of Volley. Pure: no I/O, imports nothing of ours. */
export * from "./casing.ts";
export * from "./errors.ts";
export * from "./gpus.ts";
export * from "./ids.ts";
export * from "./money.ts";
export * from "./node-signature.ts";
export * from "./operation.ts";
export { OPERATIONS, type OperationId, type Operations } from "./operations/index.ts";
export * from "./operations/market.ts";
export * from "./pages.ts";
export * from "./resources/account.ts";
export * from "./resources/cluster.ts";
export * from "./resources/market.ts";
export * from "./resources/node.ts";
export * from "./resources/payment.ts";
export * from "./resources/receipt.ts";
export * from "./time.ts";

/** Rent GPU clusters: quote, reserve, pay in USDC on Solana, use, tear down. */
export type { Answer, APIPromise } from "./api-promise.ts";
export { Volley, type VolleyOptions } from "./client.ts";
export {
  ClusterEndedError,
  type ClusterHandle,
  type Execution,
  type ExtendOptions,
  type Pay,
  type RunOptions,
  type WaitOptions,
} from "./cluster-handle.ts";
export { PaymentFailedError, type ReserveParams } from "./clusters.ts";
export {
  CommandFailedError,
  type ExecutionResult,
  type Exit,
  type OutputLine,
  type RankResult,
} from "./command-output.ts";
export {
  AbortedError,
  APIError,
  AuthenticationError,
  BadRequestError,
  ConflictError,
  ConnectionError,
  ConnectionTimeoutError,
  GoneError,
  InvalidAnswerError,
  NotFoundError,
  RateLimitError,
  ServerError,
  UnprocessableError,
  VolleyError,
  WaitTimeoutError,
} from "./errors.ts";
export type { EventStream } from "./event-stream.ts";
export type * from "./generated.ts";
export type { CollectOptions, Page, PagePromise } from "./page.ts";
export { PaymentClosedError, type SettledOptions } from "./payments.ts";
export {
  type ReceiptKeySet,
  type ReceiptLike,
  type ReceiptVerification,
  type VerifiedChain,
  type VerifiedReceipt,
  verifyReceipts,
} from "./receipts.ts";
export type { RequestOptions } from "./request-options.ts";
export { type Span, toSeconds } from "./span.ts";
export type { Authorize, Logger, OutgoingRequest } from "./transport.ts";

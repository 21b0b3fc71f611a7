/**
 * The error registry: append-only, one entry per code. REST bodies (RFC 9457), GraphQL
 * `extensions`, the SDK's error classes and the documentation all come from it.
 */
import { z } from "zod";

export const ERROR_TYPE_BASE = "https://volley.dev/errors/";

interface ErrorEntry {
  /** HTTP status; also the `status` member of the problem. */
  readonly status: number;
  /** Never changes for one code. */
  readonly title: string;
  /** Whether the same request can succeed later without being changed. */
  readonly retryable: boolean;
}

const entry = (status: number, title: string, retryable = false): ErrorEntry => ({ status, title, retryable });

export const ERRORS = {
  malformed_body: entry(400, "The body is not valid JSON"),
  invalid_field: entry(400, "A field has a wrong type or value"),
  unknown_field: entry(400, "A field is not known here"),
  invalid_cursor: entry(400, "The cursor was not issued by this list"),
  idempotency_key_missing: entry(400, "An Idempotency-Key is required"),
  idempotency_key_invalid: entry(400, "The Idempotency-Key is malformed"),
  quote_invalid: entry(400, "The quote token was forged or altered"),
  unauthenticated: entry(401, "A credential is required"),
  credential_invalid: entry(401, "The credential is malformed"),
  enrolment_token_invalid: entry(401, "The enrolment token is unknown, used or expired"),
  node_signature_invalid: entry(401, "The node's signature does not match"),
  not_found: entry(404, "Not found"),
  route_not_found: entry(404, "No such route"),
  method_not_allowed: entry(405, "The method is not allowed here"),
  idempotency_in_progress: entry(409, "The same request is still running", true),
  quote_used: entry(409, "The quote has been used"),
  capacity_gone: entry(409, "The quoted capacity is taken"),
  gang_unavailable: entry(409, "No such cluster is available now", true),
  price_above_cap: entry(409, "The cheapest match costs more than the cap"),
  cluster_ended: entry(409, "The cluster has ended or is ending"),
  cluster_not_running: entry(409, "The cluster is not running"),
  nothing_to_refund: entry(409, "There is no credit to refund"),
  node_counter_replayed: entry(409, "The node's counter was used before"),
  quote_expired: entry(410, "The quote has expired"),
  body_too_large: entry(413, "The body is too large"),
  unsupported_media_type: entry(415, "The body must be JSON"),
  idempotency_mismatch: entry(422, "The Idempotency-Key belongs to another request"),
  unknown_gpu: entry(422, "No such GPU model"),
  gang_impossible: entry(422, "No machine of the network has that shape"),
  size_out_of_range: entry(422, "The size is out of range"),
  duration_out_of_range: entry(422, "The duration is out of range"),
  address_invalid: entry(422, "The address can't receive USDC"),
  rail_unavailable: entry(422, "This way to pay is not offered"),
  rate_limited: entry(429, "Too many requests", true),
  holds_exceeded: entry(429, "Too many unpaid reservations", true),
  payment_required: entry(402, "A payment is required"),
  payment_invalid: entry(402, "The payment doesn't match what was asked for"),
  payment_failed: entry(402, "The payment did not settle"),
  insufficient_balance: entry(402, "The balance is too low"),
  account_frozen: entry(403, "The account is frozen"),
  signature_invalid: entry(401, "The wallet's signature does not match"),
  challenge_invalid: entry(401, "The challenge is unknown, used or expired"),
  payment_closed: entry(409, "The payment is settled or expired"),
  refund_not_cancellable: entry(409, "The refund has been signed or is over"),
  already_claimed: entry(409, "The transfer was claimed before"),
  webhook_signature_invalid: entry(400, "The webhook's signature does not match"),
  amount_out_of_range: entry(422, "The amount is out of range"),
  graphql_invalid: entry(400, "The GraphQL document is not valid here"),
  query_too_complex: entry(400, "The GraphQL document asks for too much at once"),
  internal: entry(500, "Something failed on our side", true),
  address_refused: entry(403, "We can't deal with this address"),
  payment_used: entry(409, "The payment was used before"),
  unavailable: entry(503, "A part that this request needs is down", true),
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERRORS;

export const ERROR_CODES = Object.keys(ERRORS) as [ErrorCode, ...ErrorCode[]];

/** One fault in the input: where it is (RFC 6901 pointer) and what to do about it. */
export const fieldErrorSchema = z
  .object({ pointer: z.string(), code: z.string(), message: z.string() })
  .meta({ id: "FieldError" });
export type FieldError = z.infer<typeof fieldErrorSchema>;

/** RFC 9457 problem details with Volley's members. Clients ignore members that they don't know. */
export const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.number().int(),
    detail: z.string(),
    code: z.string(),
    request_id: z.string(),
    retryable: z.boolean(),
    next_action: z.string().optional().describe("What to do next, in a sentence."),
    errors: z.array(fieldErrorSchema).optional(),
  })
  .loose()
  .meta({ id: "Problem" });
export type Problem = z.infer<typeof problemSchema>;

interface ErrorOptions {
  /** What to do next, in a sentence. */
  readonly nextAction?: string;
  readonly errors?: readonly FieldError[];
  /** More members of the problem, in the contract's snake_case (alternatives, a fresh quote, a bill). */
  readonly extensions?: Readonly<Record<string, unknown>>;
  readonly retryAfterSeconds?: number;
  readonly cause?: unknown;
}

/** An error that a verb raises on purpose. It knows no HTTP; each face maps it by its code. */
export class VolleyError extends Error {
  override readonly name = "VolleyError";
  readonly code: ErrorCode;
  readonly nextAction: string | undefined;
  readonly errors: readonly FieldError[] | undefined;
  readonly extensions: Readonly<Record<string, unknown>>;
  readonly retryAfterSeconds: number | undefined;

  constructor(code: ErrorCode, detail: string, options: ErrorOptions = {}) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.nextAction = options.nextAction;
    this.errors = options.errors;
    this.extensions = options.extensions ?? {};
    this.retryAfterSeconds = options.retryAfterSeconds;
  }
}

/** By name, so that it holds across copies of the module. */
export function isVolleyError(error: unknown): error is VolleyError {
  return error instanceof Error && error.name === "VolleyError" && "code" in error;
}

/** The problem body of an error; unknown errors become a bare `internal` that echoes nothing. */
export function toProblem(error: unknown, requestId: string): Problem {
  const known = isVolleyError(error)
    ? error
    : new VolleyError("internal", "The request failed on our side; nothing was charged for it.", {
        nextAction: "Try again with the same Idempotency-Key; if it fails again, report the request_id.",
      });
  const { status, title, retryable } = ERRORS[known.code];
  return {
    ...known.extensions,
    type: ERROR_TYPE_BASE + known.code,
    title,
    status,
    detail: known.message,
    code: known.code,
    request_id: requestId,
    retryable,
    ...(known.nextAction === undefined ? {} : { next_action: known.nextAction }),
    ...(known.errors === undefined ? {} : { errors: [...known.errors] }),
  };
}

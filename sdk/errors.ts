/** What can go wrong, as classes. Everything that the SDK throws on purpose extends {@link VolleyError}. */
import type { ErrorCode, FieldError, Problem } from "./generated.ts";

export class VolleyError extends Error {
  override name = "VolleyError";
}

/** The API answered with an error. Its subclasses tell the status apart, `code` tells the cause apart. */
export class APIError extends VolleyError {
  override name = "APIError";
  readonly status: number;
  /** One of {@link ErrorCode}; "unknown" when the answer was no problem document, such as a proxy's page. */
  readonly code: ErrorCode | "unknown" | (string & {});
  readonly detail: string;
  readonly requestId: string | null;
  /** Whether the same call can succeed later without being changed. */
  readonly retryable: boolean;
  /** What to do next, in a sentence. */
  readonly nextAction: string | null;
  /** What is wrong with which field. */
  readonly errors: readonly FieldError[];
  /** The whole problem document, with members of this code alone: alternatives, a fresh quote, a bill. */
  readonly problem: Problem | null;
  readonly headers: Headers;

  constructor(status: number, headers: Headers, problem: Problem | null) {
    const detail = problem?.detail ?? `The server answered ${status} without saying why.`;
    super([detail, problem?.nextAction].filter((part) => part !== undefined).join(" "));
    this.status = status;
    this.code = problem?.code ?? "unknown";
    this.detail = detail;
    this.requestId = problem?.requestId ?? headers.get("x-request-id");
    this.retryable = problem?.retryable ?? (status === 408 || status === 429 || status >= 500);
    this.nextAction = problem?.nextAction ?? null;
    this.errors = problem?.errors ?? [];
    this.problem = problem;
    this.headers = headers;
  }
}

/** 400: the request is malformed. */
export class BadRequestError extends APIError {
  override name = "BadRequestError";
}
/** 401: a credential is missing or wrong. */
export class AuthenticationError extends APIError {
  override name = "AuthenticationError";
}
/** 404: it doesn't exist, or this credential doesn't open it. */
export class NotFoundError extends APIError {
  override name = "NotFoundError";
}
/** 409: the state of things stands against it. */
export class ConflictError extends APIError {
  override name = "ConflictError";
}
/** 410: the time for it is over. */
export class GoneError extends APIError {
  override name = "GoneError";
}
/** 422: the request is well-formed and can't be met. */
export class UnprocessableError extends APIError {
  override name = "UnprocessableError";
}
/** 429: too many requests. */
export class RateLimitError extends APIError {
  override name = "RateLimitError";
}
/** 5xx: something failed on Volley's side. */
export class ServerError extends APIError {
  override name = "ServerError";
}

const CLASS_BY_STATUS: Readonly<Record<number, typeof APIError>> = {
  400: BadRequestError,
  401: AuthenticationError,
  404: NotFoundError,
  409: ConflictError,
  410: GoneError,
  422: UnprocessableError,
  429: RateLimitError,
};

export function apiErrorOf(status: number, headers: Headers, problem: Problem | null): APIError {
  const ErrorClass = CLASS_BY_STATUS[status] ?? (status >= 500 ? ServerError : APIError);
  return new ErrorClass(status, headers, problem);
}

/** No answer came: the server could not be reached or the connection broke. */
export class ConnectionError extends VolleyError {
  override name = "ConnectionError";
}

/** No answer came in time. */
export class ConnectionTimeoutError extends ConnectionError {
  override name = "ConnectionTimeoutError";
}

/** The caller's signal ended the call; `cause` is the signal's reason. */
export class AbortedError extends VolleyError {
  override name = "AbortedError";
  constructor(signal: AbortSignal) {
    super("The call was given up by its signal.", { cause: signal.reason });
  }
}

/** The answer can't be read: no JSON where JSON was due, too large, or a stream that can't be taken up again. */
export class InvalidAnswerError extends VolleyError {
  override name = "InvalidAnswerError";
}

/** Waiting took longer than the caller allowed. What was waited for may still happen. */
export class WaitTimeoutError extends VolleyError {
  override name = "WaitTimeoutError";
}

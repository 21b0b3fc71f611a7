/** Carries one call to the API and back: credentials, timeouts, retries, idempotency, logs. */
import { toCamelCaseKeys } from "@volley/schema/casing";
import type { Answer } from "./api-promise.ts";
import {
  AbortedError,
  APIError,
  apiErrorOf,
  ConnectionError,
  ConnectionTimeoutError,
  InvalidAnswerError,
  VolleyError,
} from "./errors.ts";
import type { Problem } from "./generated.ts";
import { redact } from "./redact.ts";
import type { RequestOptions } from "./request-options.ts";
import { backoffMs, isRetryable, SERVER_DELAY_MS_MAX, serverDelayMs } from "./retry.ts";
import { pause } from "./wait.ts";

/** The parts of `console` that the SDK writes to. */
export interface Logger {
  debug(message: string, details: unknown): void;
  warn(message: string, details: unknown): void;
}

/** A request as it goes out, for a hook that signs it. */
export interface OutgoingRequest {
  readonly method: "GET" | "POST" | "DELETE";
  /** Path with its query. */
  readonly path: string;
  /** The exact bytes of the body; empty when there is none. */
  readonly body: Uint8Array;
}

/** Headers that prove who sends a request. Asked anew for every attempt. */
export type Authorize = (
  request: OutgoingRequest,
) => Readonly<Record<string, string>> | Promise<Readonly<Record<string, string>>>;

export interface TransportSettings {
  readonly baseUrl: string;
  readonly credential: string | undefined;
  readonly fetch: typeof fetch;
  readonly timeoutMs: number;
  readonly maxRetries: number;
  readonly logger: Logger | undefined;
  readonly authorize: Authorize | undefined;
}

export interface Call extends OutgoingRequest {
  /** What logs show in the path's place: ids, but no tokens. */
  readonly loggedPath: string;
  /** What logs show of the body. */
  readonly params: unknown;
  readonly accept: string;
  /** The same over all attempts; null for a method that changes nothing. */
  readonly idempotencyKey: string | null;
  readonly headers: Readonly<Record<string, string>>;
  readonly options: RequestOptions;
}

/** A response whose body is still to be read, and what ends it. */
export interface OpenResponse {
  readonly response: Response;
  /** Ends the connection. Called in any case, once the body is read or given up. */
  close(): void;
  /** Starts the time limit anew: the connection is alive. */
  touch(timeoutMs: number): void;
  /** What a failure while reading the body means. */
  explain(error: unknown): VolleyError;
}

const ANSWER_BYTES_MAX = 32 * 1024 * 1024;

function requestHeaders(call: Call, settings: TransportSettings): Record<string, string> {
  const credential = call.options.secret ?? settings.credential;
  return {
    accept: call.accept,
    ...(call.body.length > 0 ? { "content-type": "application/json" } : {}),
    ...(credential === undefined ? {} : { authorization: `Bearer ${credential}` }),
    ...(call.idempotencyKey === null ? {} : { "idempotency-key": call.idempotencyKey }),
    ...call.headers,
    ...call.options.headers,
  };
}

/** One attempt up to the response's headers. */
async function attempt(call: Call, settings: TransportSettings): Promise<OpenResponse> {
  const { signal, timeoutMs = settings.timeoutMs } = call.options;
  const controller = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isTimedOut = false;
  const touch = (limitMs: number) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      isTimedOut = true;
      controller.abort();
    }, limitMs);
  };
  const onAbort = () => controller.abort(signal?.reason);
  const close = () => {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
    controller.abort();
  };
  const explain = (error: unknown): VolleyError => {
    if (error instanceof VolleyError) return error;
    if (signal?.aborted) return new AbortedError(signal);
    const where = `${call.method} ${settings.baseUrl}${call.loggedPath}`;
    if (isTimedOut) return new ConnectionTimeoutError(`${where} did not answer in time.`, { cause: error });
    return new ConnectionError(`${where} failed: the connection could not be made or broke.`, { cause: error });
  };
  if (signal?.aborted) throw new AbortedError(signal);
  signal?.addEventListener("abort", onAbort, { once: true });
  touch(timeoutMs);
  try {
    const headers = requestHeaders(call, settings);
    const { method, path, body } = call;
    const proof = await settings.authorize?.({ method, path, body });
    const response = await settings.fetch(settings.baseUrl + path, {
      method,
      headers: { ...headers, ...proof },
      // A view of a larger or shared buffer is no body to every runtime; these bytes are the SDK's own.
      ...(body.length > 0 ? { body: body as Uint8Array<ArrayBuffer> } : {}),
      signal: controller.signal,
    });
    return { response, close, touch, explain };
  } catch (error) {
    close();
    throw explain(error);
  }
}

async function readBody(open: OpenResponse): Promise<string> {
  const { response } = open;
  if (response.body === null) return "";
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  let length = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return text + decoder.decode();
      length += value.length;
      if (length > ANSWER_BYTES_MAX) throw new InvalidAnswerError("The answer is larger than the SDK reads.");
      text += decoder.decode(value, { stream: true });
    }
  } catch (error) {
    throw open.explain(error);
  }
}

export function parseJson(text: string): unknown {
  try {
    return toCamelCaseKeys(JSON.parse(text));
  } catch (error) {
    throw new InvalidAnswerError("The answer is not JSON; is the base URL that of the API?", { cause: error });
  }
}

/** Only a document with a code counts; a proxy's page or an empty body says nothing about the cause. */
function problemOf(text: string): Problem | null {
  if (!text.startsWith("{")) return null;
  try {
    const value = toCamelCaseKeys(JSON.parse(text)) as Partial<Problem>;
    return typeof value.code === "string" && typeof value.detail === "string" ? (value as Problem) : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

/** How long to wait before the next attempt, or null when the failure stands. */
function delayAfter(error: unknown, attemptIndex: number): number | null {
  if (error instanceof ConnectionError) return backoffMs(attemptIndex);
  if (!(error instanceof APIError) || !isRetryable(error.status, error.headers, error.code)) return null;
  const asked = serverDelayMs(error.headers, Date.now());
  if (asked === null) return backoffMs(attemptIndex);
  return asked <= SERVER_DELAY_MS_MAX ? asked : null;
}

async function attemptChecked(call: Call, settings: TransportSettings): Promise<OpenResponse> {
  const open = await attempt(call, settings);
  if (open.response.ok) return open;
  try {
    throw apiErrorOf(open.response.status, open.response.headers, problemOf(await readBody(open)));
  } finally {
    open.close();
  }
}

/** Attempts the call until `read` has its result, or a failure stands. */
async function retry<T>(call: Call, settings: TransportSettings, read: (open: OpenResponse) => Promise<T>): Promise<T> {
  const { maxRetries = settings.maxRetries, signal } = call.options;
  for (let index = 0; ; index++) {
    const about = { method: call.method, path: call.loggedPath, attempt: index + 1 };
    const { logger } = settings;
    logger?.debug("volley request", {
      ...about,
      headers: redact(requestHeaders(call, settings)),
      params: redact(call.params),
    });
    try {
      const open = await attemptChecked(call, settings);
      const requestId = open.response.headers.get("x-request-id");
      logger?.debug("volley response", { ...about, status: open.response.status, requestId });
      return await read(open);
    } catch (error) {
      const delayMs = index < maxRetries ? delayAfter(error, index) : null;
      const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
      logger?.warn("volley request failed", { ...about, reason, retryInMs: delayMs });
      if (delayMs === null) throw error;
      await pause(delayMs, signal);
    }
  }
}

/**
 * Sends a call and reads its JSON answer.
 * @throws {APIError} when the API refuses
 * @throws {ConnectionError} when it can't be reached or does not answer in time
 * @throws {AbortedError} when the signal ends the call
 */
export function send(call: Call, settings: TransportSettings): Promise<Answer<unknown>> {
  return retry(call, settings, async (open) => {
    try {
      const { response } = open;
      const data = parseJson(await readBody(open));
      return { data, response, requestId: response.headers.get("x-request-id") };
    } finally {
      open.close();
    }
  });
}

/** Sends a call and hands over its response as soon as its headers are there. Throws as {@link send} does. */
export function openStream(call: Call, settings: TransportSettings): Promise<OpenResponse> {
  return retry(call, settings, async (open) => open);
}

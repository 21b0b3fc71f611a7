/** Turns an operation of the contract and its params into a call, and its answer into what the caller sees. */
import { snakeCase, toSnakeCaseKeys } from "@volley/schema/casing";
import { type Answer, APIPromise } from "./api-promise.ts";
import { EventStream, type StreamSource } from "./event-stream.ts";
import { METHODS, type Method, type OperationId } from "./generated.ts";
import { type Page, PagePromise } from "./page.ts";
import type { RequestOptions } from "./request-options.ts";
import { toSeconds } from "./span.ts";
import { type Call, openStream, send, type TransportSettings } from "./transport.ts";

export type Params = Readonly<Record<string, unknown>>;

/** One use of an operation. */
export interface Invocation {
  readonly operation: OperationId;
  /** Values of the path's parameters, in order. */
  readonly path: readonly string[];
  readonly params: Params;
  readonly options: RequestOptions;
}

/** Ids are fit for a log; any other value of a path, such as a quote token, opens something. */
const LOGGED_PATH_PARAMETERS = new Set(["id"]);
const RETRIES_OF_RESUMED_STREAM = 8;

function fillPath(path: string, values: readonly string[], isLogged: boolean): string {
  let index = 0;
  return path.replace(/\{([a-z_]+)\}/g, (_, name: string) => {
    const value = values[index++];
    // Dots alone would be resolved as steps of the path, whatever escapes them.
    if (typeof value !== "string" || /^\.{0,2}$/.test(value)) {
      throw new TypeError(`the ${name} in ${path} must be a non-empty string, not ${JSON.stringify(value)}`);
    }
    return isLogged && !LOGGED_PATH_PARAMETERS.has(name) ? "…" : encodeURIComponent(value);
  });
}

/** Spans become whole seconds under their names on the wire. */
function withSeconds(params: Params, spans: readonly string[]): Params {
  const result: Record<string, unknown> = { ...params };
  for (const name of spans) {
    const span = result[name];
    if (span === undefined) continue;
    if (result[`${name}Seconds`] !== undefined) throw new TypeError(`give ${name} or ${name}Seconds, not both`);
    result[`${name}Seconds`] = toSeconds(span as string | number);
    delete result[name];
  }
  return result;
}

function queryOf(params: Params): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined) query.set(snakeCase(name), Array.isArray(value) ? value.join(",") : String(value));
  }
  return query.size === 0 ? "" : `?${query}`;
}

function makeIdempotencyKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function buildCall({ operation, path, params, options }: Invocation): Call {
  const method: Method = METHODS[operation];
  const { lastEventId, ...rest } = withSeconds(params, method.spans ?? []);
  const isPost = method.method === "POST";
  const query = isPost ? "" : queryOf(rest);
  return {
    method: method.method,
    path: fillPath(method.path, path, false) + query,
    loggedPath: fillPath(method.path, path, true) + query,
    body: isPost ? new TextEncoder().encode(JSON.stringify(toSnakeCaseKeys(rest))) : new Uint8Array(0),
    params: rest,
    accept: method.result === "stream" ? "text/event-stream" : "application/json",
    idempotencyKey: method.method === "GET" ? null : (options.idempotencyKey ?? makeIdempotencyKey()),
    headers: typeof lastEventId === "string" ? { "last-event-id": lastEventId } : {},
    options,
  };
}

/** What a stream knows of its own end. */
export type StreamEnd<T> = Pick<StreamSource<T>, "isLast" | "isOver">;

/** A fault in the params rejects the promise, as a fault that the server finds does. */
async function answerOf(settings: TransportSettings, invocation: Invocation): Promise<Answer<unknown>> {
  return send(buildCall(invocation), settings);
}

export function callOne<T>(settings: TransportSettings, invocation: Invocation): APIPromise<T> {
  return new APIPromise(answerOf(settings, invocation), ({ data }) => data as T);
}

export function callPage<T>(settings: TransportSettings, invocation: Invocation): PagePromise<T> {
  const turn = async (cursor: string): Promise<Page<T>> =>
    await callPage<T>(settings, { ...invocation, params: { ...invocation.params, cursor } });
  return new PagePromise(answerOf(settings, invocation), turn);
}

export function callStream<T>(settings: TransportSettings, invocation: Invocation, end: StreamEnd<T>): EventStream<T> {
  // One key for every connection: a repeated exec attaches to the command that already runs.
  const call = buildCall(invocation);
  return new EventStream<T>({
    ...end,
    lastEventId: call.headers["last-event-id"],
    signal: invocation.options.signal,
    open: (lastEventId, isResumed) =>
      openStream(
        {
          ...call,
          headers: lastEventId === undefined ? {} : { "last-event-id": lastEventId },
          options: isResumed ? { ...call.options, maxRetries: RETRIES_OF_RESUMED_STREAM } : call.options,
        },
        settings,
      ),
  });
}

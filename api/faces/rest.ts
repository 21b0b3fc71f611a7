/** The REST face: one route per operation of the registry. */

import { OPERATIONS, type OperationId } from "@volley/schema";
import { type Operation, pathParameters } from "@volley/schema/operation";
import type { Hono, Context as HonoContext } from "hono";
import type { AnyVerb, Streamed, Verbs } from "../verbs.ts";
import { type Answer, jsonAnswer, reportProblem } from "./answer.ts";
import { type Call, enter } from "./call.ts";
import type { Endpoint } from "./endpoint.ts";
import { EVENT_STREAM_HEADERS, eventStream, type StreamMessage } from "./event-stream.ts";
import { inputError } from "./parse-input.ts";
import { parseJsonBody, readBody } from "./read-body.ts";
import { paymentHeadersOfOutput, withPaymentSent } from "./x402-headers.ts";

/** Adds the routes of all operations. @returns the paths, for the answer to a wrong method */
export function mountRest(app: Hono, endpoint: Endpoint, verbs: Verbs): Map<string, string[]> {
  const methods = new Map<string, string[]>();
  for (const [id, operation] of Object.entries(OPERATIONS) as [OperationId, Operation][]) {
    const path = operation.path.replace(/\{([a-z_]+)\}/g, ":$1");
    app.on(operation.method, path, endpoint(id, restHandler(operation, verbs[id] as AnyVerb)));
    methods.set(path, [...(methods.get(path) ?? []), operation.method]);
  }
  return methods;
}

function restHandler(operation: Operation, verb: AnyVerb): (call: Call, c: HonoContext) => Promise<Answer> {
  const names = pathParameters(operation.path);
  const { stream, status = 200 } = operation;
  if (stream !== undefined) {
    return async (call, c) => {
      const gone = new AbortController();
      const { ctx, input } = await enter(call, operation, await rawInput(call, c, operation, names), gone.signal);
      return await streamAnswer(
        call,
        operation.id,
        stream.eventField,
        verb(ctx, input) as AsyncGenerator<Streamed<object>>,
        gone,
      );
    };
  }
  return async (call, c) => {
    const raw = await rawInput(call, c, operation, names);
    const { ctx, input } = await enter(call, operation, raw);
    const output = (await verb(ctx, input)) as object;
    return jsonAnswer(status, output, { ...nextLink(call, output), ...paymentHeadersOfOutput(operation, output) });
  };
}

/** Path parameters, and the rest from the body of a POST or the query of any other method. */
async function rawInput(call: Call, c: HonoContext, operation: Operation, names: readonly string[]): Promise<unknown> {
  let rest: unknown;
  if (operation.method === "POST") {
    call.body = await readBody(c.req.raw, call.services.settings.bodyBytesMax);
    rest = parseJsonBody(call.body, call.headers.get("content-type"));
    if (isObject(rest)) rest = withPaymentSent(operation, call.headers, rest);
  } else rest = queryOf(c);
  if (!isObject(rest)) {
    throw inputError([{ pointer: "", code: "invalid_field", message: "must be a JSON object" }]);
  }
  const lastEventId = operation.stream === undefined ? null : call.headers.get("last-event-id");
  if (names.length === 0 && lastEventId === null) return rest;
  const input: Record<string, unknown> = { ...rest };
  for (const name of names) {
    if (Object.hasOwn(input, name)) {
      throw inputError([{ pointer: `/${name}`, code: "unknown_field", message: "belongs into the path alone" }]);
    }
    input[name] = c.req.param(name);
  }
  if (lastEventId !== null) input.last_event_id ??= lastEventId;
  return input;
}

const isObject = (value: unknown): value is object =>
  value !== null && typeof value === "object" && !Array.isArray(value);

/** A name that comes twice is one list, as if its values were joined by commas. */
function queryOf(c: HonoContext): Record<string, string> {
  if (!c.req.raw.url.includes("?")) return {};
  const query: Record<string, string> = {};
  for (const [name, values] of Object.entries(c.req.queries())) {
    Object.defineProperty(query, name, {
      value: values.join(","),
      enumerable: true,
      writable: true,
      configurable: true,
    });
  }
  return query;
}

/** RFC 8288; the same cursor as in the body. */
function nextLink(call: Call, output: object): Record<string, string> {
  if (!("next_cursor" in output) || typeof output.next_cursor !== "string") return {};
  const url = new URL(call.target, call.services.settings.publicUrl);
  url.searchParams.set("cursor", output.next_cursor);
  return { link: `<${url.href}>; rel="next"` };
}

async function* messages(source: AsyncGenerator<Streamed<object>>, eventField: string): AsyncGenerator<StreamMessage> {
  for await (const { id, data } of source) {
    const event = (data as Readonly<Record<string, unknown>>)[eventField];
    yield { event: String(event), id, data: JSON.stringify(data) };
  }
}

async function streamAnswer(
  call: Call,
  label: string,
  eventField: string,
  source: AsyncGenerator<Streamed<object>>,
  gone: AbortController,
): Promise<Answer> {
  const body = await eventStream(messages(source, eventField), {
    clock: call.services.clock,
    signal: call.signal,
    gone,
    onEnd: call.limiter.openStream(call.callerHash),
    onError: (error) => ({ event: "error", data: JSON.stringify(reportProblem(call, error, label)) }),
  });
  return { status: 200, body, headers: EVENT_STREAM_HEADERS };
}

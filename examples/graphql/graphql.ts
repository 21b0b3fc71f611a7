/** GraphQL over plain fetch: questions over HTTP, subscriptions over server-sent events (distinct connections mode). */
import { randomUUID } from "node:crypto";

export interface Endpoint {
  readonly url: string;
  /** The cluster's secret, once there is one. */
  secret?: string;
}

interface Answer {
  readonly data?: unknown;
  readonly errors?: readonly { readonly message: string; readonly extensions?: { readonly code?: string } }[];
}

const ANSWER_MS_MAX = 30_000;

function post(endpoint: Endpoint, accept: string, query: string, variables: unknown, signal?: AbortSignal) {
  return fetch(endpoint.url, {
    method: "POST",
    headers: {
      accept,
      "content-type": "application/json",
      // The same key on a repeated request means: the same reservation, not another one.
      "idempotency-key": randomUUID(),
      ...(endpoint.secret === undefined ? {} : { authorization: `Bearer ${endpoint.secret}` }),
    },
    body: JSON.stringify({ query, variables }),
    ...(signal === undefined ? {} : { signal }),
  });
}

function dataOf({ data, errors }: Answer): Record<string, unknown> {
  const [error] = errors ?? [];
  if (error) throw new Error(`${error.extensions?.code ?? "error"}: ${error.message}`);
  return (data ?? {}) as Record<string, unknown>;
}

/** A query or a mutation; the answer is the field that it asks for. */
export async function ask<T>(endpoint: Endpoint, query: string, variables: unknown = {}): Promise<T> {
  const signal = AbortSignal.timeout(ANSWER_MS_MAX);
  const response = await post(endpoint, "application/graphql-response+json", query, variables, signal);
  return Object.values(dataOf((await response.json()) as Answer))[0] as T;
}

/** A subscription: one value of its field at a time, until the server says that it is complete. */
export async function* subscribe<T>(endpoint: Endpoint, query: string, variables: unknown): AsyncGenerator<T> {
  const response = await post(endpoint, "text/event-stream", query, variables);
  if (response.body === null) throw new Error(`the subscription was answered with ${response.status} and no body`);
  if (!response.ok) dataOf((await response.json()) as Answer);
  let text = "";
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    const messages = (text + chunk).split("\n\n");
    text = messages.pop() ?? "";
    for (const message of messages) {
      const event = /^event: ?(.*)$/m.exec(message)?.[1];
      const data = /^data: ?(.*)$/m.exec(message)?.[1];
      if (event === "next" && data) yield Object.values(dataOf(JSON.parse(data) as Answer))[0] as T;
      if (event === "complete") return;
    }
  }
}

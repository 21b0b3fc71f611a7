/** An API that answers what the test says, and remembers what it was asked. */
export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Headers;
  readonly body: unknown;
  readonly bodyText: string;
  readonly signal: AbortSignal | null;
}

type Answer = (request: SeenRequest) => Response | Promise<Response>;

export interface FakeApi {
  readonly fetch: typeof fetch;
  readonly seen: SeenRequest[];
}

export const BASE_URL = "http://volley.test";

/** Answers in turn; a request beyond the last answer fails the test loudly. */
export function fakeApi(...answers: Answer[]): FakeApi {
  const seen: SeenRequest[] = [];
  const answerRequest = async (input: unknown, init: RequestInit = {}): Promise<Response> => {
    const bodyText = init.body instanceof Uint8Array ? new TextDecoder().decode(init.body) : "";
    const request: SeenRequest = {
      method: init.method ?? "GET",
      path: String(input).slice(BASE_URL.length),
      headers: new Headers(init.headers),
      body: bodyText === "" ? undefined : JSON.parse(bodyText),
      bodyText,
      signal: init.signal ?? null,
    };
    seen.push(request);
    const answer = answers[seen.length - 1];
    if (!answer) throw new Error(`unexpected request ${seen.length}: ${request.method} ${request.path}`);
    return answer(request);
  };
  return { fetch: answerRequest as typeof fetch, seen };
}

export function json(body: unknown, init: ResponseInit = {}): Answer {
  return () => Response.json(body, init);
}

/** An error of the API. `retry-after: 0` spares the test the wait. */
export function problem(
  status: number,
  code: string,
  extra: { headers?: Record<string, string>; members?: Record<string, unknown> } = {},
): Answer {
  const body = {
    type: `https://volley.dev/errors/${code}`,
    title: "Title",
    status,
    detail: "Detail.",
    code,
    request_id: "req_1",
    retryable: false,
    ...extra.members,
  };
  return () =>
    new Response(JSON.stringify(body), {
      status,
      headers: { "content-type": "application/problem+json", "retry-after": "0", ...extra.headers },
    });
}

export function connectionFailure(): Answer {
  return () => {
    throw new TypeError("fetch failed");
  };
}

/** Never answers; ends only by the request's signal, as fetch does. */
export function silence(): Answer {
  return ({ signal }) =>
    new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason), { once: true }));
}

/** A stream of bytes that ends in good order, breaks, or stays open, as `ending` says. */
export function streamOf(chunks: readonly string[], ending: "closes" | "breaks" | "stays open" = "closes"): Answer {
  return ({ signal }) => {
    const encoder = new TextEncoder();
    let index = 0;
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        signal?.addEventListener("abort", () => controller.error(signal.reason), { once: true });
      },
      pull(controller) {
        const chunk = chunks[index++];
        if (chunk !== undefined) controller.enqueue(encoder.encode(chunk));
        else if (ending === "closes") controller.close();
        else if (ending === "breaks") controller.error(new TypeError("terminated"));
        else return new Promise(() => undefined);
      },
    });
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  };
}

/** One server-sent event as the API writes it. */
export function sse(id: string, event: string, data: unknown): string {
  return `id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}

export function output(
  id: string,
  rank: number,
  type: string,
  data: string | null,
  code: number | null = null,
): string {
  return sse(id, type, { type, rank, data, encoding: "utf-8", code, reason: null });
}

export function cluster(over: Record<string, unknown> = {}): Record<string, unknown> {
  const money = { amount: "1.000000", currency: "USDC" };
  return {
    id: "cl_1",
    object: "cluster",
    status: "running",
    status_reason: null,
    total: money,
    secret: null,
    payment: { id: "pay_1", amount: money, solana_pay: { url: "solana:x" } },
    nodes: [
      { rank: 0, status: "ready", reason: null },
      { rank: 1, status: "ready", reason: null },
    ],
    bill: null,
    metadata: {},
    ...over,
  };
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

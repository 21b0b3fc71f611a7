/** A program that uses Volley over a network that loses things, and repeats what may be repeated. */
import type { Problem } from "@volley/schema/errors";
import type { Timeline } from "./timeline.ts";

export interface ApiRequest {
  readonly method: "GET" | "POST" | "DELETE";
  readonly path: string;
  readonly body?: unknown;
  readonly secret?: string;
  readonly idempotencyKey?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface ApiResponse {
  readonly status: number;
  readonly body: unknown;
}

/** Sends a request to some server process; rejects when no answer comes. */
export type Network = (request: ApiRequest) => Promise<ApiResponse>;

export class ApiProblem extends Error {
  override readonly name = "ApiProblem";
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(`${problem.code}: ${problem.detail}`);
    this.problem = problem;
  }
}

/** The client has given up: whether the request had an effect is unknown. */
export class GaveUp extends Error {
  override readonly name = "GaveUp";
}

const TRIES = 10;
const PAUSE_MS_MAX = 20_000;

export class Client {
  readonly #network: Network;
  readonly #timeline: Timeline;

  constructor(network: Network, timeline: Timeline) {
    this.#network = network;
    this.#timeline = timeline;
  }

  /**
   * Repeats until there is a final answer, as the SDK does.
   * @throws {ApiProblem} when the answer is an error that a repetition can't change
   * @throws {GaveUp}
   */
  async send<Answer>(request: ApiRequest, tries = TRIES): Promise<Answer> {
    for (let tried = 1; tried <= tries; tried++) {
      const response = await this.#network(request).catch(() => null);
      if (response !== null && response.status < 300) return response.body as Answer;
      if (response !== null) {
        const problem = response.body as Problem;
        if (!problem.retryable) throw new ApiProblem(problem);
      }
      if (tried < tries) await this.#timeline.sleep(Math.min(PAUSE_MS_MAX, 500 * 2 ** tried));
    }
    throw new GaveUp(`${request.method} ${request.path}`);
  }
}

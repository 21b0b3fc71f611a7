/** An answer beside the HTTP response that carried it. */
export interface Answer<T> {
  readonly data: T;
  readonly response: Response;
  /** Names the request in Volley's own logs. */
  readonly requestId: string | null;
}

/** A promise of the data that can also give the response it came with. */
export class APIPromise<T> extends Promise<T> {
  readonly #answer: Promise<Answer<unknown>>;
  readonly #select: (answer: Answer<unknown>) => T;

  constructor(answer: Promise<Answer<unknown>>, select: (answer: Answer<unknown>) => T) {
    // The data is derived on demand: a promise of its own would count as unhandled when only the response is asked for.
    super((resolve) => resolve(undefined as T));
    this.#answer = answer;
    this.#select = select;
  }

  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  // biome-ignore lint/suspicious/noThenProperty: this is a promise
  override then<Result = T, Failure = never>(
    onFulfilled?: ((value: T) => Result | PromiseLike<Result>) | null,
    onRejected?: ((reason: unknown) => Failure | PromiseLike<Failure>) | null,
  ): Promise<Result | Failure> {
    return this.#answer.then(this.#select).then(onFulfilled, onRejected);
  }

  /** The data together with the response: status, headers, request id. Its body has been read. */
  async withResponse(): Promise<Answer<T>> {
    const answer = await this.#answer;
    return { ...answer, data: this.#select(answer) };
  }
}

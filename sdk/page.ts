import { type Answer, APIPromise } from "./api-promise.ts";
import { InvalidAnswerError } from "./errors.ts";

/** What a list answers, before it becomes a {@link Page}. */
interface RawPage<T> {
  data: T[];
  nextCursor: string | null;
}

/** How many rows {@link Page.toArray} collects; it is asked for, so that no list fills the memory by surprise. */
export interface CollectOptions {
  limit: number;
}

/** One page of a list. Iterating it goes on through all the pages that follow. */
export class Page<T> implements AsyncIterable<T> {
  readonly data: readonly T[];
  readonly nextCursor: string | null;
  readonly #turn: (cursor: string) => Promise<Page<T>>;

  constructor(raw: RawPage<T>, turn: (cursor: string) => Promise<Page<T>>) {
    this.data = raw.data;
    this.nextCursor = raw.nextCursor;
    this.#turn = turn;
  }

  /** The page after this one, or null at the end. */
  async next(): Promise<Page<T> | null> {
    if (this.nextCursor === null) return null;
    const page = await this.#turn(this.nextCursor);
    if (page.nextCursor === this.nextCursor) {
      throw new InvalidAnswerError("The list answered the same cursor twice; it would never end.");
    }
    return page;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    let page: Page<T> | null = this;
    while (page !== null) {
      yield* page.data;
      page = await page.next();
    }
  }

  async toArray(options: CollectOptions): Promise<T[]> {
    const rows: T[] = [];
    if (options.limit < 1) return rows;
    for await (const row of this) {
      rows.push(row);
      if (rows.length >= options.limit) break;
    }
    return rows;
  }
}

/** A promise of a page that can be iterated without being awaited first. */
export class PagePromise<T> extends APIPromise<Page<T>> implements AsyncIterable<T> {
  constructor(answer: Promise<Answer<unknown>>, turn: (cursor: string) => Promise<Page<T>>) {
    super(answer, ({ data }) => new Page(data as RawPage<T>, turn));
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    yield* await this;
  }

  async toArray(options: CollectOptions): Promise<T[]> {
    return (await this).toArray(options);
  }
}

/** Runs tasks one after another; a failed task does not hold up the next. */
export class SerialQueue {
  #last: Promise<unknown> = Promise.resolve();

  run<Result>(task: () => Promise<Result>): Promise<Result> {
    const next = this.#last.then(task, task);
    this.#last = next.then(
      () => undefined,
      () => undefined,
    );
    return next;
  }
}

/** What a run of the tests lacks on purpose; handed to it in `VOLLEY_MUTANT`, as JSON. */
export interface Mutant {
  /** What is taken away, as the table says it. */
  readonly without: string;
  /** Run on the migrated database. */
  readonly sql?: readonly string[];
  /** In the text of database functions. */
  readonly functions?: readonly Replacement[];
  /** In the text of source files. */
  readonly sources?: readonly Replacement[];
  /** Files of tests, one of which has to fail. */
  readonly tests: readonly string[];
}

export interface Replacement {
  /** A function's name, or a file's path in the repository. */
  readonly in: string;
  readonly from: string;
  readonly to: string;
}

/** The mutant that this run is of; null in all usual runs. */
export function mutantOfRun(): Mutant | null {
  const text = process.env.VOLLEY_MUTANT;
  return text ? (JSON.parse(text) as Mutant) : null;
}

export const NOTHING_TO_REPLACE = "has not exactly one";

/** @throws {Error} when there is nothing to replace: a mutant that changes nothing proves nothing */
export function mutated(text: string, { in: where, from, to }: Replacement): string {
  if (text.split(from).length !== 2) throw new Error(`${where} ${NOTHING_TO_REPLACE} "${from}"`);
  return text.replace(from, () => to);
}

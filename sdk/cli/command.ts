import type { Cli } from "./cli.ts";
import type { Args, Flag } from "./flags.ts";

export interface Command {
  /** One word, or two: `run`, `payments get`. */
  readonly name: string;
  /** Positional arguments, as help shows them. */
  readonly usage: string;
  readonly summary: string;
  readonly flags: readonly Flag[];
  /** How many positional arguments there may be at most. */
  readonly positionalsMax: number;
  /** What help adds. */
  readonly notes?: string;
  /** @returns the exit code */
  run(cli: Cli, args: Args): Promise<number>;
}

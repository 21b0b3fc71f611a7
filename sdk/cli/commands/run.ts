import { toSnakeCaseKeys } from "@volley/schema/casing";
import type { ClusterHandle } from "../../cluster-handle.ts";
import { CommandFailedError } from "../../command-output.ts";
import type { Cli } from "../cli.ts";
import type { Command } from "../command.ts";
import { execute, RUN_FLAGS } from "../execution.ts";
import { EXIT, exitCodeOf } from "../exit-codes.ts";
import { type Args, commandOf } from "../flags.ts";
import { WALLET_FLAGS } from "../pay.ts";
import { billText } from "../render.ts";
import { endAfterFailure, endCluster, RESERVE_FLAGS, rent, WISH_FLAGS } from "../wishes.ts";

/** The code of the command, or 0; everything else goes on to whoever reports failures. */
async function codeOf(cli: Cli, cluster: ClusterHandle, args: Args): Promise<number> {
  try {
    await execute(cli, cluster, args);
    return EXIT.ok;
  } catch (error) {
    if (!(error instanceof CommandFailedError)) throw error;
    cli.say(error.message);
    return exitCodeOf(error);
  }
}

/** What was interrupted ends all the same: this is not bound to the signal. */
async function finish(cli: Cli, cluster: ClusterHandle, exitCode: number): Promise<void> {
  const ended = await endCluster(cli, cluster);
  if (cli.isJson) {
    const { id: clusterId, bill } = ended;
    cli.terminal.out(`${JSON.stringify(toSnakeCaseKeys({ object: "run", clusterId, exitCode, bill }))}\n`);
  } else cli.say(billText(ended));
}

export const runCommand: Command = {
  name: "run",
  usage: "--gpu <model>[:<count>] -- <command>",
  summary: "Rents a cluster, runs a command on it, and tears it down whatever happens",
  flags: [
    ...WISH_FLAGS,
    ...RESERVE_FLAGS,
    ...RUN_FLAGS.filter(({ flag }) => !RESERVE_FLAGS.some((other) => other.flag === flag)),
    ...WALLET_FLAGS,
  ],
  positionalsMax: 0,
  notes: "Ends with the exit code of the command; with several ranks, with that of the lowest rank that failed.",
  async run(cli, args) {
    commandOf(args.words);
    const cluster = await rent(cli, args);
    let exitCode: number;
    try {
      exitCode = await codeOf(cli, cluster, args);
    } catch (error) {
      await endAfterFailure(cli, cluster);
      throw error;
    }
    await finish(cli, cluster, exitCode);
    return exitCode;
  },
};

import type { Command } from "../command.ts";
import { EXEC_FLAGS, execute } from "../execution.ts";
import { EXIT } from "../exit-codes.ts";
import { commandOf } from "../flags.ts";

export const execCommand: Command = {
  name: "exec",
  usage: "[<cluster>] -- <command>",
  summary: "Runs a command on a cluster that is running",
  flags: EXEC_FLAGS,
  positionalsMax: 1,
  notes: "Ends with the exit code of the command. The cluster goes on.",
  async run(cli, args) {
    commandOf(args.words);
    await execute(cli, await cli.cluster(args.positionals[0]), args);
    return EXIT.ok;
  },
};

import { toSnakeCaseKeys } from "@volley/schema/casing";
import { readLines } from "../../command-output.ts";
import type { Command } from "../command.ts";
import { EXIT } from "../exit-codes.ts";

export const logsCommand: Command = {
  name: "logs",
  usage: "[<cluster>]",
  summary: "Output of the startup scripts",
  flags: [
    { flag: "follow", short: "f", kind: "boolean", about: "Stay until the cluster has ended." },
    { flag: "rank", kind: "integer", about: "All ranks when absent." },
  ],
  positionalsMax: 1,
  async run(cli, args) {
    const cluster = await cli.cluster(args.positionals[0]);
    const rank = args.values.rank as number | undefined;
    const outputs = cluster.logs({ follow: args.values.follow === true, rank }, { signal: cli.signal });
    if (cli.isJson) {
      for await (const output of outputs) cli.terminal.out(`${JSON.stringify(toSnakeCaseKeys(output))}\n`);
      return EXIT.ok;
    }
    const isPrefixed = cluster.data.nodes.length > 1 && rank === undefined;
    for await (const line of readLines(outputs)) {
      cli.terminal[line.stream === "stdout" ? "out" : "err"](isPrefixed ? `[${line.rank}] ${line.text}` : line.text);
    }
    return EXIT.ok;
  },
};

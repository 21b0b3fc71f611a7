import type { Command } from "../command.ts";
import { EXIT } from "../exit-codes.ts";
import { WALLET_FLAGS } from "../pay.ts";
import { RESERVE_FLAGS, rent, WISH_FLAGS } from "../wishes.ts";

export const rentCommand: Command = {
  name: "rent",
  usage: "--gpu <model>[:<count>]",
  summary: "Rents a cluster and leaves it running",
  flags: [...WISH_FLAGS, ...RESERVE_FLAGS, ...WALLET_FLAGS],
  positionalsMax: 0,
  notes: "Interrupted before the cluster is ready, it is torn down.",
  async run(cli, args) {
    const cluster = await rent(cli, args);
    cli.answer(cluster.data, () =>
      [
        `${cluster.id} is running until ${cluster.data.endsAt}.`,
        `  volley exec ${cluster.id} -- <command>`,
        `  volley down ${cluster.id}`,
      ].join("\n"),
    );
    return EXIT.ok;
  },
};

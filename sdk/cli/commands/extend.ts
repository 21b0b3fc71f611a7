import type { Command } from "../command.ts";
import { EXIT } from "../exit-codes.ts";
import { settle, WALLET_FLAGS, walletOf } from "../pay.ts";
import { moneyText } from "../render.ts";

export const extendCommand: Command = {
  name: "extend",
  usage: "[<cluster>] --duration <time>",
  summary: "More time for a running cluster",
  flags: [
    { flag: "duration", kind: "span", isRequired: true, about: "Such as 90m or 2h30m." },
    { flag: "dry-run", kind: "boolean", about: "Only say what it would cost." },
    ...WALLET_FLAGS,
  ],
  positionalsMax: 1,
  async run(cli, args) {
    const wallet = await walletOf(cli, args);
    const cluster = await cli.cluster(args.positionals[0]);
    const extension = await cluster.extend({
      duration: args.values.duration as string | number,
      dryRun: args.values["dry-run"] === true,
      signal: cli.signal,
    });
    if (extension.payment !== null) {
      await cli.rememberPayment(cluster.id, extension.payment.id);
      await settle(cli, cli.client(), extension.payment, wallet, { secret: cluster.secret ?? undefined });
    }
    cli.answer(extension, () =>
      extension.dryRun
        ? `It would cost ${moneyText(extension.total)} and last until ${extension.endsAt}.`
        : `${cluster.id} is rented until ${extension.endsAt}, for ${moneyText(extension.total)} more.`,
    );
    return EXIT.ok;
  },
};

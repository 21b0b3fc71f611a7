import type { Command } from "../command.ts";
import { EXIT } from "../exit-codes.ts";
import { quoteText } from "../render.ts";
import { WISH_FLAGS, wishOf } from "../wishes.ts";

export const quoteCommand: Command = {
  name: "quote",
  usage: "--gpu <model>[:<count>]",
  summary: "What a cluster costs; commits to nothing",
  flags: WISH_FLAGS,
  positionalsMax: 0,
  async run(cli, args) {
    const quote = await cli.client().quotes.create(wishOf(args), { signal: cli.signal });
    cli.answer(quote, () => quoteText(quote));
    return EXIT.ok;
  },
};

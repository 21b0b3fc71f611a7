import type { Cli } from "../cli.ts";
import type { Command } from "../command.ts";
import { CliError, EXIT } from "../exit-codes.ts";
import { settle, showRequest, WALLET_FLAGS, type Wallet, walletOf } from "../pay.ts";
import { resourceText } from "../render.ts";

async function payUrl(cli: Cli, url: string, wallet: Wallet | null): Promise<void> {
  if (wallet === null) {
    // Nobody says whose payment this is, so there is nothing to wait for.
    showRequest(cli, url);
    cli.answer({ object: "payment_request", url }, () => "Scan the code with a wallet to pay.");
    return;
  }
  cli.say(`Paying from ${wallet.address}.`);
  const signature = await wallet.payUrl(url);
  cli.answer({ object: "transaction", signature }, () => `Paid; the transaction is ${signature}.`);
}

export const payCommand: Command = {
  name: "pay",
  usage: "<payment id | solana: URL>",
  summary: "Pays with a key pair, or shows a QR code and waits",
  flags: [
    ...WALLET_FLAGS,
    { flag: "cluster", kind: "text", about: "Id of the cluster whose secret opens the payment." },
  ],
  positionalsMax: 1,
  async run(cli, args) {
    const [what] = args.positionals;
    if (what === undefined) throw new CliError(EXIT.usage, "The payment is missing: give its id, or a solana: URL.");
    const wallet = await walletOf(cli, args);
    if (what.startsWith("solana:")) {
      await payUrl(cli, what, wallet);
      return EXIT.ok;
    }
    const secret = await cli.secretFor([what, args.values.cluster]);
    const volley = cli.client();
    const payment = await volley.payments.get(what, { secret, signal: cli.signal });
    const settled = await settle(cli, volley, payment, wallet, { secret });
    cli.answer(settled, () => resourceText(settled));
    return EXIT.ok;
  },
};

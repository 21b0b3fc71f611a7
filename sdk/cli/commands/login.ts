import type { Command } from "../command.ts";
import { CliError, EXIT } from "../exit-codes.ts";
import { textOf } from "../flags.ts";
import { KEYPAIR_FLAG, keypairPathOf, readSigner } from "../pay.ts";

export const loginCommand: Command = {
  name: "login",
  usage: "--keypair <file>",
  summary: "Signs in with a wallet; the account is made at the first time",
  flags: [
    { ...KEYPAIR_FLAG, about: "Key file as Solana's command line writes it; also VOLLEY_KEYPAIR." },
    { flag: "domain", kind: "text", about: "Whom the message to sign must name, where that is not the API's host." },
  ],
  positionalsMax: 0,
  async run(cli, args) {
    const path = keypairPathOf(cli, args);
    if (path === undefined) {
      throw new CliError(
        EXIT.usage,
        "Signing in takes a key pair.",
        "Give a key file with --keypair or VOLLEY_KEYPAIR.",
      );
    }
    const signer = await readSigner(path);
    const { signIn } = await import("../../solana.ts");
    const session = await signIn(cli.client(), { signer, domain: textOf(args, "domain"), signal: cli.signal });
    const { token, account, expiresAt } = session;
    await cli.store.keepSession({ token, apiUrl: cli.apiUrl, wallet: account.wallet, expiresAt });
    if (cli.terminal.env.VOLLEY_TOKEN) cli.say("VOLLEY_TOKEN is set and wins over this session.");
    cli.answer({ account, expiresAt }, () => `Signed in as ${account.wallet} (${account.id}) until ${expiresAt}.`);
    return EXIT.ok;
  },
};

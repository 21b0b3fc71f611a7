import { Volley } from "../../client.ts";
import { AuthenticationError } from "../../errors.ts";
import type { Command } from "../command.ts";
import { EXIT } from "../exit-codes.ts";

export const logoutCommand: Command = {
  name: "logout",
  usage: "",
  summary: "Signs out: the session's token is worth nothing from then on",
  flags: [],
  positionalsMax: 0,
  async run(cli) {
    const session = await cli.store.readSession();
    if (session === null) {
      cli.answer({ object: "logout", wasSignedIn: false }, () => "Nobody was signed in.");
      return EXIT.ok;
    }
    const { apiUrl: baseUrl, token: apiKey } = session;
    // Forgotten here in any case: whoever signs out wants no token left on this machine.
    await cli.store.forgetSession();
    try {
      await new Volley({ baseUrl, apiKey, fetch: cli.terminal.fetch }).auth.end({ signal: cli.signal });
    } catch (error) {
      if (!(error instanceof AuthenticationError)) throw error;
    }
    cli.answer({ object: "logout", wasSignedIn: true }, () => "Signed out.");
    return EXIT.ok;
  },
};

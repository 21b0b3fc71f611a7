/** Paying: with a key pair on this machine, or by whoever scans the code; then waiting until the money counts. */
import type { Volley } from "../client.ts";
import type { Pay } from "../cluster-handle.ts";
import type { Payment, PaymentNotice } from "../generated.ts";
import type { RequestOptions } from "../request-options.ts";
import type { Cli } from "./cli.ts";
import { CliError, EXIT } from "./exit-codes.ts";
import { type Args, type Flag, textOf } from "./flags.ts";
import { qrText } from "./qr.ts";
import { moneyText } from "./render.ts";
import { hasColours, printable } from "./terminal.ts";

export const KEYPAIR_FLAG: Flag = {
  flag: "keypair",
  kind: "text",
  about: "Key file as Solana's command line writes it; also VOLLEY_KEYPAIR. Without one, a QR code asks you to pay.",
};

export const WALLET_FLAGS: readonly Flag[] = [
  KEYPAIR_FLAG,
  { flag: "rpc-url", kind: "text", about: "Solana RPC node that the payment goes through; also VOLLEY_RPC_URL." },
];

export interface Wallet {
  readonly pay: Pay;
  readonly payUrl: (url: string) => Promise<string>;
  readonly address: string;
}

export function keypairPathOf(cli: Cli, args: Args): string | undefined {
  return textOf(args, "keypair") ?? (cli.terminal.env.VOLLEY_KEYPAIR || undefined);
}

/** Says what is wrong with the file without ever showing what is in it. */
export async function readSigner(path: string) {
  const { keypairSignerFromFile } = await import("../solana.ts");
  try {
    return await keypairSignerFromFile(path);
  } catch (error) {
    if (error instanceof TypeError) throw new CliError(EXIT.usage, `${error.message}.`);
    throw new CliError(EXIT.usage, `${path} can't be read.`, "Give a key file with --keypair or VOLLEY_KEYPAIR.");
  }
}

/** Null when there is no key pair here. */
export async function walletOf(cli: Cli, args: Args): Promise<Wallet | null> {
  const path = keypairPathOf(cli, args);
  if (path === undefined) return null;
  const rpcUrl = textOf(args, "rpc-url") ?? (cli.terminal.env.VOLLEY_RPC_URL || undefined);
  if (rpcUrl === undefined) {
    throw new CliError(
      EXIT.usage,
      "Paying with a key pair needs a Solana RPC node.",
      "Give --rpc-url or VOLLEY_RPC_URL, such as https://api.mainnet-beta.solana.com.",
    );
  }
  const { payTransferRequest, payWith } = await import("../solana.ts");
  const signer = await readSigner(path);
  return {
    pay: payWith({ signer, rpcUrl }),
    payUrl: (url) => payTransferRequest({ url, signer, rpcUrl, signal: cli.signal }),
    address: signer.address,
  };
}

/** Where nobody looks, the URL alone will do. */
export function showRequest(cli: Cli, url: string): void {
  const shown = printable(url);
  if (cli.terminal.isErrTty) cli.say(qrText(shown, hasColours(cli.terminal)));
  cli.say(shown);
}

function noticeText({ code, detail }: PaymentNotice): string {
  return `${code}: ${printable(detail)}`;
}

/** Says each thing once. */
class Progress {
  readonly #say: (line: string) => void;
  readonly #said = new Set<string>();

  constructor(say: (line: string) => void) {
    this.#say = say;
  }

  tell(payment: Payment): void {
    for (const notice of payment.notices) this.#once(noticeText(notice));
    if (payment.status === "detected") {
      const seen = payment.solanaPay === null ? "The page was completed" : "Seen on chain";
      this.#once(`${seen}; waiting until it is confirmed.`);
    }
    if (payment.status === "pending" && !/^0\.0*$/.test(payment.received.amount)) {
      this.#once(`${moneyText(payment.received)} arrived; ${moneyText(payment.missing)} are still missing.`);
    }
  }

  #once(line: string): void {
    if (this.#said.has(line)) return;
    this.#said.add(line);
    this.#say(line);
  }
}

/** A wallet's request, or the page of the card processor. */
function askForPayment(cli: Cli, { id, rail, missing, expiresAt, solanaPay, checkoutUrl }: Payment): void {
  const url = solanaPay?.url ?? checkoutUrl;
  if (!url) throw new CliError(EXIT.payment, `Payment ${id} (${rail}) can't be paid from here.`);
  cli.say(`Pay ${moneyText(missing)} before ${expiresAt}${solanaPay === null ? ", by card on this page" : ""}:`);
  showRequest(cli, url);
}

/** The same request for what is still missing, where a part has arrived. */
export function restOf(payment: Payment): Payment {
  const { missing, amount, solanaPay } = payment;
  if (missing.amount === amount.amount || solanaPay === null) return payment;
  const url = solanaPay.url.replace(/([?&]amount=)[^&]*/, (_, name: string) => `${name}${missing.amount}`);
  return { ...payment, amount: missing, solanaPay: { ...solanaPay, url } };
}

async function payOrAsk(cli: Cli, payment: Payment, wallet: Wallet | null): Promise<void> {
  if (wallet === null || payment.solanaPay === null) {
    askForPayment(cli, payment);
    return;
  }
  cli.say(`Paying ${moneyText(payment.amount)} from ${wallet.address}.`);
  await wallet.pay(payment, { signal: cli.signal });
}

/**
 * Pays, or asks for it, and waits until the money counts.
 * @throws {CliError} with the code for payments
 * @throws {PaymentClosedError} when the payment expired
 * @throws {SolanaPaymentError} when signing or sending failed
 */
export async function settle(
  cli: Cli,
  volley: Volley,
  payment: Payment,
  wallet: Wallet | null,
  options: RequestOptions = {},
): Promise<Payment> {
  if (payment.status === "settled") return payment;
  // What has been seen already is waited for and never paid again.
  if (payment.status === "pending") await payOrAsk(cli, restOf(payment), wallet);
  const progress = new Progress((line) => cli.say(line));
  const settled = await volley.payments.settled(payment.id, {
    ...options,
    signal: cli.signal,
    onProgress: (now) => progress.tell(now),
  });
  cli.say(`Paid ${moneyText(settled.amount)}.`);
  return settled;
}

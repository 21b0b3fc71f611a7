import { readFile } from "node:fs/promises";
import { type ReceiptKeySet, type ReceiptLike, type ReceiptVerification, verifyReceipts } from "../../receipts.ts";
import type { Command } from "../command.ts";
import { CliError, EXIT } from "../exit-codes.ts";
import { textOf } from "../flags.ts";
import type { Terminal } from "../terminal.ts";
import { printable } from "../terminal.ts";

async function read(terminal: Terminal, file: string): Promise<string> {
  if (file === "-") return terminal.readStdin();
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    throw new CliError(EXIT.notFound, `${file} can't be read: ${error instanceof Error ? error.message : error}`);
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** One receipt, a list of them, a page of the API, or a JWS on each line. */
function receiptsIn(text: string): ReceiptLike[] {
  const value = parse(text);
  if (value === undefined) return text.split(/\s+/).filter((line) => line !== "");
  const { data } = Object(value) as { data?: unknown };
  const list = Array.isArray(value) ? value : Array.isArray(data) ? data : [value];
  return list.filter(
    (one): one is ReceiptLike => typeof one === "string" || typeof (Object(one) as { jws?: unknown }).jws === "string",
  );
}

function keySetIn(file: string, text: string): ReceiptKeySet {
  const { keys } = Object(parse(text)) as { keys?: unknown };
  if (!Array.isArray(keys)) throw new CliError(EXIT.data, `${file} is no JWK set.`);
  return { keys };
}

function textOfResult({ receipts, chains }: ReceiptVerification): string {
  const lines = receipts.map(({ id, chain, sequence, problems, anchor }) => {
    const root = anchor === null ? "" : `, in the tree of ${anchor.day} ${anchor.merkleRoot}`;
    const verdict = problems.length === 0 ? `verified${root}` : `WRONG: ${problems.join("; ")}`;
    return `${id}  ${chain} ${sequence}  ${verdict}`;
  });
  const links = chains.map(({ chain, first, last, problems }) => {
    const verdict = problems.length === 0 ? "unbroken" : `BROKEN: ${problems.join("; ")}`;
    return `chain ${chain}  ${first} to ${last}  ${verdict}`;
  });
  return [...lines, ...links].map(printable).join("\n");
}

export const verifyReceiptsCommand: Command = {
  name: "receipts verify",
  usage: "<file>",
  summary: "Verifies receipts offline: signatures, chains and sums",
  flags: [
    { flag: "jwks", kind: "text", isRequired: true, about: "File with the API's keys: /.well-known/jwks.json, kept." },
  ],
  positionalsMax: 1,
  notes: "The file holds a receipt, a list, what `volley receipts --json` prints, or a JWS on each line; - is stdin.",
  async run(cli, args) {
    const [file] = args.positionals;
    const keyFile = textOf(args, "jwks");
    if (file === undefined || keyFile === undefined) {
      throw new CliError(EXIT.usage, "It takes a file and --jwks <file>.", "See `volley help receipts verify`.");
    }
    const keySet = keySetIn(keyFile, await read(cli.terminal, keyFile));
    const receipts = receiptsIn(await read(cli.terminal, file));
    if (receipts.length === 0) throw new CliError(EXIT.data, `${file} holds no receipt.`);
    const result = await verifyReceipts(receipts, keySet);
    cli.answer(result, () => textOfResult(result));
    return result.ok ? EXIT.ok : EXIT.data;
  },
};

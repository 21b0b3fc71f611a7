/** The command line of the all-in-one. */

import { resolve } from "node:path";
import { parseArgs } from "node:util";

export interface LocalOptions {
  readonly port: number;
  readonly rpcPort: number;
  readonly dataFolder: string;
  readonly slots: number;
  readonly help: boolean;
}

export const USAGE = `npm start -- [options]

  --port N        port of the API (8787; 0 takes a free one)
  --rpc-port N    port of the development chain (8899; 0 takes a free one)
  --data-dir DIR  where everything is kept (.volley)
  --slots N       how many slots this machine offers (4)

Environment: DATABASE_URL uses that Postgres instead of an embedded one;
SOLANA_RPC_URL with USDC_MINT uses that cluster instead of the development chain.
Every other setting is described in docs/configuration.md.`;

function wholeNumber(name: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (!/^[0-9]+$/.test(text) || value < min || value > max) {
    throw new Error(`--${name} takes a whole number from ${min} to ${max}, not "${text}"`);
  }
  return value;
}

const OPTIONS = {
  port: { type: "string", default: "8787" },
  "rpc-port": { type: "string", default: "8899" },
  "data-dir": { type: "string", default: ".volley" },
  slots: { type: "string", default: "4" },
  help: { type: "boolean", default: false },
} as const;

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS });
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.message : error}\n\n${USAGE}`, { cause: error });
  }
}

/** @throws when an option is unknown or out of range, with a sentence that says which */
export function readLocalOptions(args: readonly string[]): LocalOptions {
  const { values } = parse(args);
  return {
    port: wholeNumber("port", values.port, 0, 65_535),
    rpcPort: wholeNumber("rpc-port", values["rpc-port"], 0, 65_535),
    dataFolder: resolve(values["data-dir"]),
    slots: wholeNumber("slots", values.slots, 1, 64),
    help: values.help,
  };
}

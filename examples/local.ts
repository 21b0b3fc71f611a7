/** Where the all-in-one server of `npm start` listens, and the wallet it filled for trying things out. */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

export interface Local {
  readonly apiUrl: string;
  readonly graphqlUrl: string;
  readonly rpcUrl: string;
  readonly usdcMint: string;
  readonly payerKeypairPath: string;
}

/** `npm start` writes this file into its data folder; VOLLEY_LOCAL names another one. */
const path = process.env.VOLLEY_LOCAL ?? fileURLToPath(new URL("../.volley/local.json", import.meta.url));

async function readText(): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new Error(`${path} can't be read: start the server with \`npm start\`, or set VOLLEY_LOCAL.`, {
      cause: error,
    });
  }
}

/** VOLLEY_API_URL, where it is set, wins over the file. */
export async function readLocal(): Promise<Local> {
  const file: Record<string, unknown> = JSON.parse(await readText());
  const text = (name: string): string => {
    const value = file[name];
    if (typeof value !== "string") throw new Error(`${path} has no ${name}`);
    return value;
  };
  return {
    apiUrl: process.env.VOLLEY_API_URL ?? text("api_url"),
    graphqlUrl: text("graphql_url"),
    rpcUrl: text("rpc_url"),
    usdcMint: text("usdc_mint"),
    payerKeypairPath: text("payer_keypair_path"),
  };
}

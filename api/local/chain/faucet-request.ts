import { isAddress } from "@solana/kit";
import { z } from "zod";
import type { DevelopmentChain } from "./development-chain.ts";
import { usdcDecimals } from "./faucet-transaction.ts";
import { RpcError } from "./rpc-error.ts";

const solDecimals = 9;

const faucetBody = z.strictObject({
  address: z.string().refine(isAddress, "expected an address: 32 bytes in base58"),
  sol: decimal(solDecimals, "SOL").optional(),
  usdc: decimal(usdcDecimals, "USDC").optional(),
});

/** What was wrong with a request to the faucet, and what to send instead. */
export class FaucetRefusal extends Error {}

/**
 * Answers `POST /faucet`: `{"address", "sol"?, "usdc"?}` with decimal numbers or decimal strings. Throws
 * FaucetRefusal.
 */
export function answerFaucet(chain: DevelopmentChain, text: string) {
  const { address, sol = 0n, usdc = 0n } = readBody(text);
  try {
    const { signature, lamports, microUsdc } = chain.faucet({ address, lamports: sol, microUsdc: usdc });
    return {
      address,
      usdc_mint: chain.usdcMint,
      signatures: [signature],
      sol: print(lamports, solDecimals),
      usdc: print(microUsdc, usdcDecimals),
    };
  } catch (error) {
    if (error instanceof RpcError) throw new FaucetRefusal(error.message);
    throw error;
  }
}

function readBody(text: string): z.output<typeof faucetBody> {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new FaucetRefusal('The body is not JSON. Send {"address": "...", "sol": "1", "usdc": "100"}.');
  }
  const parsed = faucetBody.safeParse(body);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new FaucetRefusal(`${issue?.path.join(".") || "the body"}: ${issue?.message ?? "not understood"}`);
}

/** A decimal as number or text, exact to so many places; the result is in base units. */
function decimal(places: number, name: string) {
  const pattern = new RegExp(`^(\\d{1,15})(?:\\.(\\d{1,${places}}))?$`);
  return z.union([z.string(), z.number().transform(String)]).transform((text, context) => {
    const [, whole, fraction = ""] = pattern.exec(text) ?? [];
    if (whole !== undefined) return BigInt(whole + fraction.padEnd(places, "0"));
    context.addIssue({
      code: "custom",
      message: `expected an amount of ${name} like "12.5", not negative and with at most ${places} decimal places`,
    });
    return z.NEVER;
  });
}

function print(amount: bigint, places: number): string {
  const digits = amount.toString().padStart(places + 1, "0");
  return `${digits.slice(0, -places)}.${digits.slice(-places)}`;
}

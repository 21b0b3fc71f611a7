import { address, isAddress, isOffCurveAddress } from "@solana/kit";
import { VolleyError } from "@volley/schema/errors";
import type { Settings } from "../settings.ts";

/**
 * By its form alone, so that reserving doesn't wait for the chain: an address that a key can exist for, and not one of
 * ours.
 * @throws {VolleyError} `address_invalid`
 */
export function requireWalletAddress(
  settings: Pick<Settings, "treasuryAddress" | "usdcMint">,
  text: string,
  field = "/refund_address",
): void {
  const fault = !isAddress(text)
    ? "It is not an address: 32 bytes in base58."
    : text === settings.treasuryAddress || text === settings.usdcMint
      ? "It is an address of ours, not of a wallet of yours."
      : isOffCurveAddress(address(text))
        ? "No key can exist for it, so it is no wallet."
        : null;
  if (fault === null) return;
  throw new VolleyError("address_invalid", `The address can't receive USDC. ${fault}`, {
    nextAction: "Give the address of a Solana wallet that you control.",
    errors: [{ pointer: field, code: "address_invalid", message: fault }],
  });
}

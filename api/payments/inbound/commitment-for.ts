import type { Settings } from "../../settings.ts";

/** How settled on chain a payment of this amount must be to count: what a fork could cost decides. */
export function commitmentFor(
  amountMicroUsdc: bigint,
  settings: Pick<Settings, "confirmedLimitMicroUsdc">,
): "confirmed" | "finalized" {
  return amountMicroUsdc <= settings.confirmedLimitMicroUsdc ? "confirmed" : "finalized";
}

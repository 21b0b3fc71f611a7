/** Asks the development chain's faucet for whole SOL and USDC. */
const FAUCET_TIMEOUT_MS = 30_000;

/** @throws with the faucet's own words when it refuses */
export async function askFaucet(url: string, request: { address: string; sol?: number; usdc?: number }): Promise<void> {
  const answer = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(request),
    signal: AbortSignal.timeout(FAUCET_TIMEOUT_MS),
  });
  if (!answer.ok) throw new Error(`the faucet refused: ${await answer.text()}`);
}

// Runs in a process of its own that the test kills: serves a chain and prints every gift that its faucet answered.
import { generateKeyPairSigner } from "@solana/kit";
import { startDevelopmentChain } from "../../api/local/chain/start-development-chain.ts";

const [dataFolder] = process.argv.slice(2);
if (dataFolder === undefined) throw new Error("usage: killed-server.ts DATA_FOLDER");

/** An end in case nobody kills it. */
const maxGifts = 5_000;

const server = await startDevelopmentChain({ dataFolder, slotMs: 5, slotsToFinalize: 4 });
for (let gifts = 0; gifts < maxGifts; gifts++) {
  const { address } = await generateKeyPairSigner();
  const body = JSON.stringify({ address, sol: "0.001" });
  const answer = (await (await fetch(server.faucetUrl, { method: "POST", body })).json()) as { signatures: [string] };
  const [signature] = answer.signatures;
  const slot = server.chain.state.history.bySignature(signature)?.slot;
  process.stdout.write(`${JSON.stringify({ address, signature, slot })}\n`);
}
await server.close();

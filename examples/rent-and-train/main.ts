/** Rents two nodes, trains a small network on both together, tears down early and gets the rest of the money back. */
import { readFile } from "node:fs/promises";
import { Volley } from "@volley/sdk";
import { keypairSignerFromFile, payWith } from "@volley/sdk/solana";
import { readLocal } from "../local.ts";

const { apiUrl, rpcUrl, payerKeypairPath } = await readLocal();
const volley = new Volley({ baseUrl: apiUrl });
const pay = payWith({ signer: await keypairSignerFromFile(payerKeypairPath), rpcUrl });
const job = await readFile(new URL("train.mjs", import.meta.url), "utf8");

const quote = await volley.quotes.create({ gpu: "cpu", nodes: 2, duration: "10m" });
console.log(`Quoted: ${quote.nodes} nodes for 10 minutes, ${quote.total.amount} USDC.`);

// From here on the cluster is torn down when the script ends, whatever happens.
await using cluster = await volley.clusters.reserve({ quote, pay });
console.log(`Reserved and paid: ${cluster.id}.`);

await cluster.ready({ timeout: "3m" });
console.log("Running.");

for await (const { rank, text } of cluster.run(["node", "--input-type=module", "-"], { stdin: job })) {
  process.stdout.write(`rank ${rank} | ${text}`);
}

await cluster.teardown();
const { bill } = await cluster.settled({ timeout: "2m" });
if (bill === null) throw new Error("An ended cluster has a bill.");
for (const { rank, seconds } of bill.billedSeconds) console.log(`Rank ${rank}: ${seconds} s.`);
console.log(`Charged ${bill.charged.amount} of ${bill.paid.amount} USDC.`);
console.log(`Refunded ${bill.refund.amount.amount} USDC to ${bill.refund.to}, transaction ${bill.refund.signature}.`);

/**
 * A program that pays for itself: no account, no person, no wallet app. It asks for a cluster, is told the price with
 * status 402, pays, and has the cluster in the second answer. The x402 client is the reference one, as it is published.
 */
import { Volley } from "@volley/sdk";
import { keypairSignerFromFile } from "@volley/sdk/solana";
import { wrapFetchWithPayment, x402Client } from "@x402/fetch";
import { ExactSvmScheme } from "@x402/svm/exact/client";
import { readLocal } from "../local.ts";

/** In micro-USDC: whatever a server asks for, the client pays no more at once. */
const MICRO_USDC_PER_PAYMENT_MAX = "500000";

const { apiUrl, rpcUrl, usdcMint, payerKeypairPath } = await readLocal();
const signer = await keypairSignerFromFile(payerKeypairPath);
const client = x402Client.fromConfig({
  schemes: [{ network: "solana:*", client: new ExactSvmScheme(signer, { rpcUrl }) }],
  spendControls: {
    // By itself the client knows USDC of the public clusters alone; a development chain goes by devnet's name.
    allowedAssets: [
      {
        network: "solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1",
        asset: usdcMint,
        maxAmountPerPayment: MICRO_USDC_PER_PAYMENT_MAX,
      },
    ],
  },
});
const volley = new Volley({ baseUrl: apiUrl, fetch: wrapFetchWithPayment(fetch, client) });

const quote = await volley.quotes.create({ gpu: "cpu", nodes: 1, duration: "10m" });
console.log(`Quoted: ${quote.total.amount} USDC.`);

await using cluster = await volley.clusters.reserve({
  quote,
  payment: { rail: "x402" },
  refundAddress: signer.address,
});
const { payment } = cluster.data;
console.log(`Paid ${payment.received.amount} USDC with ${payment.signatures[0]}: ${cluster.id}.`);

await cluster.ready({ timeout: "3m" });
for await (const { text } of cluster.run(["node", "-p", "'a computation for ' + process.env.VOLLEY_HOSTNAME"])) {
  process.stdout.write(text);
}

await cluster.teardown();
const { bill } = await cluster.settled({ timeout: "2m" });
if (bill === null) throw new Error("An ended cluster has a bill.");
console.log(`Charged ${bill.charged.amount}, refunded ${bill.refund.amount.amount} USDC to ${bill.refund.to}.`);

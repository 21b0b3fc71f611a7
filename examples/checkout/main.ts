/** Rents a machine that somebody pays in the browser: prints a link, waits for the money, runs a command, tears down. */
import { Volley } from "@volley/sdk";
import { readLocal } from "../local.ts";

const { apiUrl } = await readLocal();
const volley = new Volley({ baseUrl: apiUrl });

const quote = await volley.quotes.create({ gpu: "cpu", nodes: 1, duration: "10m" });
await using cluster = await volley.clusters.reserve({ quote });
const { payment } = cluster.data;
console.log(`${quote.total.amount} USDC are due. Pay here: ${payment.checkoutUrl}`);

await volley.payments.settled(payment.id, { secret: cluster.secret ?? undefined, timeout: "10m" });
console.log("Paid.");

await cluster.ready({ timeout: "3m" });
for await (const { text } of cluster.run("echo hello from rank $VOLLEY_RANK")) process.stdout.write(text);

await cluster.teardown();
const { bill } = await cluster.settled({ timeout: "2m" });
console.log(`Charged ${bill?.charged.amount} USDC. ${bill?.refund.amount.amount} USDC stay credit of ${cluster.id}.`);

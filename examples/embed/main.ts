/**
 * A shop that sells compute by the minute to its own customers, under its own name and at its own price, and rents it
 * from Volley as orders come in.
 *
 *   node examples/embed/main.ts [--port 8080]
 *   node examples/embed/main.ts --self-test      buys from itself once, checks, and ends
 */
import type { AddressInfo } from "node:net";
import { parseArgs } from "node:util";
import { Volley } from "@volley/sdk";
import { keypairSignerFromFile, payWith } from "@volley/sdk/solana";
import { readLocal } from "../local.ts";
import { Jobs } from "./jobs.ts";
import { selfTest } from "./self-test.ts";
import { createShop } from "./server.ts";

const { values } = parseArgs({
  options: { port: { type: "string", default: "8080" }, "self-test": { type: "boolean", default: false } },
});
const { apiUrl, rpcUrl, payerKeypairPath } = await readLocal();
const pay = payWith({ signer: await keypairSignerFromFile(payerKeypairPath), rpcUrl });
const jobs = new Jobs(new Volley({ baseUrl: apiUrl }), pay);
const shop = createShop(jobs);

const port = values["self-test"] ? 0 : Number(values.port);
await new Promise<void>((resolve, reject) => {
  shop.once("error", reject);
  shop.listen(port, "127.0.0.1", resolve);
});
const url = `http://127.0.0.1:${(shop.address() as AddressInfo).port}`;

/** No cluster outlives the shop. */
async function close(): Promise<void> {
  shop.close();
  shop.closeIdleConnections();
  await jobs.close();
}

if (values["self-test"]) {
  try {
    await selfTest(url);
  } finally {
    await close();
  }
} else {
  console.log(`The shop is open: ${url}`);
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, close);
}

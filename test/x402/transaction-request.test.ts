/** A wallet without SOL pays by Solana Pay's own client: the treasury's process signs for the fee, the wallet the rest. */
import { createRequire } from "node:module";
import {
  type Address,
  address,
  createSolanaRpc,
  generateKeyPairSigner,
  getBase64EncodedWireTransaction,
  partiallySignTransaction,
  type Transaction,
} from "@solana/kit";
import { afterAll, beforeAll, expect, test } from "vitest";
import { restFace } from "../contract/faces.ts";
import { freshKey, quoteFor, succeed, untilStatus } from "../contract/rentals.ts";
import { createTestApp, type TestApp } from "../harness/app.ts";
import { until } from "../harness/services.ts";
import { solanaPayOf } from "../harness/solana-pay-of.ts";

type FetchTransaction = (rpc: unknown, account: Address, link: string) => Promise<Transaction>;
const solanaPay = createRequire(new URL("../../api/package.json", import.meta.url))("@solana/pay");
const { fetchTransaction } = solanaPay as { fetchTransaction: FetchTransaction };

let app: TestApp;
beforeAll(async () => {
  app = await createTestApp({ environment: { VOLLEY_SPONSORED_FEES_PER_PAYMENT: "1" } });
  await app.join(4);
  await until("the machine is on offer", async () => {
    const wish = { gpu: "cpu", nodes: 1, gpus_per_node: 1, duration_seconds: 3600 };
    return (await restFace(app.url).call("quotes.create", wish)).output !== undefined;
  });
}, 60_000);
afterAll(async () => {
  await app?.close();
}, 60_000);

test("the cluster is paid, and the wallet has never had any SOL", { timeout: 60_000 }, async () => {
  const face = restFace(app.url);
  const quote = await quoteFor(face, { nodes: 1 });
  const wallet = await generateKeyPairSigner();
  app.chain.chain.faucet({ address: wallet.address, microUsdc: 100_000_000n });
  const request = { quote_token: quote.token, payment: { rail: "solana_pay" } };
  const cluster = await succeed(face, "clusters.reserve", request, { idempotencyKey: freshKey() });
  const { spl_token: mint } = solanaPayOf(cluster.payment);
  const link = `${app.url}/v1/payments/${cluster.payment.id}/transaction`;
  const rpc = createSolanaRpc(app.chain.rpcUrl);
  await until("the wallet's money is confirmed", async () => {
    const { value } = await rpc
      .getTokenAccountsByOwner(wallet.address, { mint: address(mint) }, { encoding: "jsonParsed" })
      .send();
    return value.length > 0;
  });
  const given = await fetchTransaction(rpc, wallet.address, link);
  expect(Object.keys(given.signatures)).toHaveLength(2);
  const signed = await partiallySignTransaction([wallet.keyPair], given);
  await rpc.sendTransaction(getBase64EncodedWireTransaction(signed), { encoding: "base64" }).send();
  await untilStatus(face, { cluster, secret: cluster.secret ?? "" }, "running");
  expect((await rpc.getBalance(wallet.address).send()).value).toBe(0n);
});

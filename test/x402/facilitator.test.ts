/** The fees paid by somebody else: the reference facilitator over HTTP, and what it may do wrong. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { generateKeyPairSigner, type KeyPairSigner } from "@solana/kit";
import type { Cluster, Problem } from "@volley/schema";
import { wrapFetchWithPayment, x402Client } from "@x402/fetch";
import { toFacilitatorSvmSigner } from "@x402/svm";
import { ExactSvmScheme as Client } from "@x402/svm/exact/client";
import { ExactSvmScheme as Scheme } from "@x402/svm/exact/facilitator";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { restFace } from "../contract/faces.ts";
import { freshKey, quoteFor } from "../contract/rentals.ts";
import { createTestApp, type TestApp } from "../harness/app.ts";
import { until } from "../harness/services.ts";

type Answer = { success: boolean; transaction: string; errorReason?: string };
type Settle = Scheme["settle"];

let app: TestApp;
let server: Server;
let sponsor: KeyPairSigner;
/** How it treats the next requests; by itself it does what it should. */
let conduct: (settle: () => Promise<Answer>) => Promise<Answer | "no answer">;
let asked = 0;

beforeAll(async () => {
  sponsor = await generateKeyPairSigner();
  let scheme: Scheme | null = null;
  server = createServer(async (request, response) => {
    let text = "";
    for await (const chunk of request) text += chunk;
    const { paymentPayload, paymentRequirements } = JSON.parse(text) as {
      paymentPayload: Parameters<Settle>[0];
      paymentRequirements: Parameters<Settle>[1];
    };
    asked++;
    scheme ??= new Scheme(toFacilitatorSvmSigner(sponsor, { defaultRpcUrl: app.chain.rpcUrl }));
    const own = scheme;
    const answer = await conduct(async () => (await own.settle(paymentPayload, paymentRequirements)) as Answer);
    if (answer === "no answer") return response.destroy();
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(answer));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  app = await createTestApp({
    facilitatorUrl: `http://127.0.0.1:${port}`,
    environment: { VOLLEY_SPONSOR_ADDRESS: sponsor.address },
  });
  app.chain.chain.faucet({ address: sponsor.address, lamports: 1_000_000_000n });
  await app.join(8);
  await until("the machine is on offer", async () => {
    const wish = { gpu: "cpu", nodes: 1, gpus_per_node: 1, duration_seconds: 3600 };
    return (await restFace(app.url).call("quotes.create", wish)).output !== undefined;
  });
}, 60_000);
afterAll(async () => {
  await app?.close();
  server?.closeAllConnections();
  server?.close();
}, 60_000);
beforeEach(() => {
  conduct = (settle) => settle();
  asked = 0;
});

async function reserve(): Promise<Response> {
  const quote = await quoteFor(restFace(app.url), { nodes: 1 });
  const client = x402Client.fromConfig({
    schemes: [{ network: "solana:*", client: new Client(app.payer, { rpcUrl: app.chain.rpcUrl }) }],
    spendControls: { allowedAssets: true },
  });
  return await wrapFetchWithPayment(fetch, client)(`${app.url}/v1/clusters`, {
    method: "POST",
    headers: { "content-type": "application/json", "idempotency-key": freshKey() },
    body: JSON.stringify({ quote_token: quote.token, payment: { rail: "x402" } }),
  });
}

test("the reference facilitator signs and sends, and the cluster is paid", { timeout: 60_000 }, async () => {
  const answer = await reserve();
  const cluster = (await answer.json()) as Cluster;
  expect(answer.status, JSON.stringify(cluster)).toBe(201);
  expect(cluster.payment).toMatchObject({ rail: "x402", status: "settled" });
  expect(asked).toBe(1);
});

test("its answer is lost after it has sent: the payment is found on chain all the same", {
  timeout: 60_000,
}, async () => {
  conduct = async (settle) => {
    await settle();
    return "no answer";
  };
  const answer = await reserve();
  expect(answer.status).toBe(201);
  expect(await answer.json()).toMatchObject({ payment: { status: "settled" } });
  // A second call would be refused as a duplicate, which says nothing about the first.
  expect(asked).toBe(1);
});

test("it refuses: no money moved, and the reservation ends at once", { timeout: 60_000 }, async () => {
  conduct = async () => ({ success: false, transaction: "", errorReason: "out of SOL" });
  const answer = await reserve();
  expect(answer.status).toBe(402);
  expect((await answer.json()) as Problem).toMatchObject({
    code: "payment_failed",
    detail: expect.stringContaining("out of SOL"),
  });
});

test("it says that it settled, and didn't: nothing is believed before the chain has it", {
  timeout: 60_000,
}, async () => {
  conduct = async () => ({ success: true, transaction: "5".repeat(88) });
  const answer = await reserve();
  const body = (await answer.json()) as Cluster & Problem;
  expect([201, 402]).toContain(answer.status);
  if (answer.status === 201) expect(body).toMatchObject({ status: "awaiting_payment", payment: { status: "pending" } });
  else expect(body).toMatchObject({ code: "payment_failed" });
});

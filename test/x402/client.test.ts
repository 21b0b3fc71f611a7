/** The reference client, as it comes from its package, pays for a cluster that it asks for over HTTP, without an account. */
import type { Cluster } from "@volley/schema";
import { decodePaymentResponseHeader, wrapFetchWithPayment, x402Client } from "@x402/fetch";
import { ExactSvmScheme } from "@x402/svm/exact/client";
import { afterAll, beforeAll, expect, test } from "vitest";
import { restFace } from "../contract/faces.ts";
import { freshKey, quoteFor, untilStatus } from "../contract/rentals.ts";
import { createTestApp, type TestApp } from "../harness/app.ts";
import { until } from "../harness/services.ts";

let app: TestApp;
let paying: typeof fetch;
beforeAll(async () => {
  app = await createTestApp();
  await app.join(4);
  await until("the machine is on offer", async () => {
    const wish = { gpu: "cpu", nodes: 2, gpus_per_node: 1, duration_seconds: 3600 };
    return (await restFace(app.url).call("quotes.create", wish)).output !== undefined;
  });
  const scheme = new ExactSvmScheme(app.payer, { rpcUrl: app.chain.rpcUrl });
  // The development chain's mint is none that a client knows.
  const spending = { spendControls: { allowedAssets: true as const } };
  paying = wrapFetchWithPayment(
    fetch,
    x402Client.fromConfig({ schemes: [{ network: "solana:*", client: scheme }], ...spending }),
  );
}, 60_000);
afterAll(() => app?.close(), 60_000);

test("asks, is told the price, pays, and has its cluster in the second answer", { timeout: 60_000 }, async () => {
  const face = restFace(app.url);
  const quote = await quoteFor(face);
  const request = {
    method: "POST",
    headers: { "content-type": "application/json", "idempotency-key": freshKey() },
    body: JSON.stringify({ quote_token: quote.token, payment: { rail: "x402" } }),
  };
  const answer = await paying(`${app.url}/v1/clusters`, request);
  const cluster = (await answer.json()) as Cluster;
  expect(answer.status, JSON.stringify(cluster)).toBe(201);
  expect(cluster).toMatchObject({
    status: "provisioning",
    total: quote.total,
    payment: { rail: "x402", status: "settled", received: quote.total, solana_pay: null, checkout_url: null },
  });
  const settled = decodePaymentResponseHeader(answer.headers.get("payment-response") ?? "");
  expect(settled).toMatchObject({ success: true, transaction: cluster.payment.signatures[0] });
  const held = { cluster, secret: cluster.secret ?? "" };
  await untilStatus(face, held, "running");

  // The answer may have been lost: the same request, with or without the payment, is the same cluster, and no other charge.
  const again = await paying(`${app.url}/v1/clusters`, request);
  expect(again.status).toBe(201);
  expect(await again.json()).toEqual(cluster);

  const ended = await fetch(`${app.url}/v1/clusters/${cluster.id}`, {
    method: "DELETE",
    headers: { authorization: `Bearer ${held.secret}` },
  });
  expect(await ended.json()).toMatchObject({ status: "stopping", bill: { paid: quote.total } });
});

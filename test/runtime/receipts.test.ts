/** The Worker signs receipts with the keys of WebCrypto in workerd, and its audits run. */
import { type ReceiptKeySet, verifyReceipts } from "@volley/sdk";
import { eq } from "drizzle-orm";
import { afterAll, beforeAll, expect, test } from "vitest";
import { alarms, tasks } from "../../api/db/tables.ts";
import { restFace } from "../contract/faces.ts";
import { reserve, succeed } from "../contract/rentals.ts";
import type { TestApp } from "../harness/app.ts";
import { until } from "../harness/services.ts";
import { createWorkerApp } from "./worker-app.ts";

let app: TestApp;
beforeAll(async () => {
  app = await createWorkerApp();
  await app.join(4);
}, 120_000);
afterAll(() => app?.close(), 60_000);

test("an ended cluster's receipt verifies with the key set that the Worker publishes", async () => {
  const face = restFace(app.url);
  await until("the machine is on offer", async () => {
    const { output } = await face.call("quotes.create", { gpu: "cpu", duration_seconds: 600 });
    return output !== undefined;
  });
  const { cluster, secret } = await reserve(face, {}, { nodes: 1 });
  await succeed(face, "clusters.teardown", { id: cluster.id }, { secret });
  const list = () => succeed(face, "receipts.list", {}, { secret });
  await until("the receipt is signed", async () => (await list()).data.length === 1);
  const keys = (await (await fetch(`${app.url}/.well-known/jwks.json`)).json()) as ReceiptKeySet;
  expect(await verifyReceipts((await list()).data, keys)).toMatchObject({ ok: true });

  await until("all audits have run", async () => {
    const planned = await app.database.db.select().from(tasks).where(eq(tasks.kind, "audit"));
    return planned.length === 3 && planned.every(({ lastProcessedAt }) => lastProcessedAt !== null);
  });
  expect(await app.database.db.select().from(alarms)).toEqual([]);
}, 120_000);

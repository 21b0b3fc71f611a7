/** A Worker keeps no connection longer than the request that it was opened for. */
import { sql } from "drizzle-orm";
import { afterAll, beforeAll, test } from "vitest";
import { rows } from "../../api/db/database.ts";
import { restFace } from "../contract/faces.ts";
import { reserve } from "../contract/rentals.ts";
import type { TestApp } from "../harness/app.ts";
import { until } from "../harness/services.ts";
import { createWorkerApp } from "./worker-app.ts";

const STREAMS = 10;

let app: TestApp;
beforeAll(async () => {
  app = await createWorkerApp();
  await app.join(4);
  await until("the machine is on offer", async () => {
    const { output } = await restFace(app.url).call("quotes.create", { gpu: "cpu", duration_seconds: 600 });
    return output !== undefined;
  });
}, 240_000);
afterAll(() => app?.close(), 120_000);

async function connections(): Promise<number> {
  const [row] = await rows<{ count: number }>(
    app.services.db,
    sql`SELECT count(*)::integer AS count FROM pg_stat_activity WHERE datname = current_database()`,
  );
  return row?.count ?? 0;
}

test("a stream's connections are closed when its reader goes", async () => {
  const { cluster, secret } = await reserve(restFace(app.url), {}, { nodes: 1 });
  const headers = { authorization: `Bearer ${secret}` };
  const gone = new AbortController();
  const before = await connections();
  await Promise.all(
    Array.from({ length: STREAMS }, async () => {
      const response = await fetch(`${app.url}/v1/clusters/${cluster.id}/events`, { headers, signal: gone.signal });
      const reader = response.body?.getReader();
      await reader?.read();
    }),
  );
  await until("the streams hold connections", async () => (await connections()) >= before + STREAMS / 2);
  gone.abort();
  // workerd notices at its next write, which is a keep-alive. The trigger and the agent have a few of their own.
  await until("they have let go", async () => (await connections()) < before + STREAMS / 2, 60_000);
}, 180_000);

test("many requests leave no connections behind", async () => {
  const before = await connections();
  for (let round = 0; round < 5; round++) {
    await Promise.all(Array.from({ length: 8 }, () => fetch(`${app.url}/v1/network`).then((answer) => answer.text())));
  }
  await until("they are closed", async () => (await connections()) < before + 8, 60_000);
}, 120_000);

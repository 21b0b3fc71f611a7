/** The Worker in workerd, over a world of its own. */
import { fileURLToPath } from "node:url";
import { createTestHarness } from "wrangler";
import { appOver, createTestWorld, type TestApp, type TestAppOptions } from "../harness/app.ts";

// Without it the tools ask a host of Cloudflare where we are.
process.env.CLOUDFLARE_CF_FETCH_ENABLED = "false";
process.env.WRANGLER_SEND_METRICS = "false";

export async function createWorkerApp(options: TestAppOptions = {}): Promise<TestApp> {
  const world = await createTestWorld(options);
  // Hyperdrive's local stand-in insists on a password; the server trusts loopback and ignores it.
  const database = new URL(world.database.url);
  database.password ||= "unused";
  process.env.CLOUDFLARE_HYPERDRIVE_LOCAL_CONNECTION_STRING_HYPERDRIVE = database.href;
  const server = createTestHarness({
    root: fileURLToPath(new URL("../..", import.meta.url)),
    workers: [{ configPath: "wrangler.toml", vars: { ...world.environment } }],
  });
  const { url } = await server.listen();
  let stopping = false;
  // One trigger works for most of a minute, then the next one comes.
  const trigger = async () => {
    while (!stopping) await server.getWorker().scheduled({ cron: "* * * * *" });
  };
  const triggers = trigger().catch((error: unknown) => {
    // The last one is cut off by the end of the server.
    if (!stopping) throw error;
  });
  return appOver(world, url.origin, async () => {
    stopping = true;
    await server.close();
    await triggers;
  });
}

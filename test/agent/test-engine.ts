import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runCommand } from "../../agent/inventory/run-command.ts";
import { connectEngine, type EngineConnection, engineAddresses } from "../../agent/runtime/engine-connection.ts";
import { startPodmanService } from "../../agent/runtime/podman-service.ts";

export interface TestEngine {
  readonly connection: EngineConnection;
  close(): Promise<void>;
}

/** The engine of this machine, started if need be; null, with a printed reason, where there is none. */
export async function newTestEngine(): Promise<TestEngine | null> {
  for (const address of engineAddresses(process.env)) {
    const connection = await connectEngine(address);
    if (connection !== null) {
      return { connection, close: async () => undefined };
    }
  }
  const directory = await mkdtemp(join(tmpdir(), "volley-engine-"));
  const service = await startPodmanService({ directory, environment: process.env, runCommand });
  if (service === null) {
    await rm(directory, { recursive: true });
    console.warn("Container tests are skipped: no engine answers, and Podman is not installed.");
    return null;
  }
  return {
    connection: service.engine,
    close: async () => {
      await service.stop();
      await rm(directory, { recursive: true });
    },
  };
}

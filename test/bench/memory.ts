/** A process that has read the full network from Postgres: its memory, and how long it took to be ready to quote. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { migrateDatabase } from "../../api/db/migrate.ts";
import { insertNetwork } from "../../api/db/seed/insert-network.ts";
import { startEmbeddedPostgres } from "../../api/local/postgres.ts";
import { type BenchRow, median, spread } from "./row.ts";
import { startApi } from "./start-api.ts";

const NODES = 190_000;
const ROUNDS = 5;
const MEMORY_MB_MAX = 250;
const LOAD_MS_MAX = 1000;

export async function benchMemory(): Promise<BenchRow[]> {
  const folder = await mkdtemp(join(tmpdir(), "volley-bench-"));
  const database = await startEmbeddedPostgres(folder, { flags: "-c fsync=off" });
  try {
    await migrateDatabase(database.url);
    await insertNetwork(database.url, { nodes: NODES, seed: 42 }, Date.now());
    const memoryMb: number[] = [];
    const loadMs: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const api = await startApi(database.url);
      memoryMb.push(api.rssBytes / 1e6);
      loadMs.push(api.loadedMs);
      api.stop();
    }
    return [
      {
        subject: `process with ${NODES} machines read from Postgres, resident memory`,
        ours: `${spread(memoryMb)} MB`,
        peer: "",
        ratio: "",
        goal: `≤ ${MEMORY_MB_MAX} MB`,
        met: median(memoryMb) <= MEMORY_MB_MAX,
      },
      {
        subject: `from start to the first quote, with ${NODES} machines to read`,
        ours: `${spread(loadMs)} ms`,
        peer: "",
        ratio: "",
        goal: `≤ ${LOAD_MS_MAX} ms`,
        met: median(loadMs) <= LOAD_MS_MAX,
      },
    ];
  } finally {
    await database.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

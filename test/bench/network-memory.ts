/** Memory of a process that holds nothing but the index; run as a program it is that process. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { seedNodes } from "../../api/db/seed/network.ts";
import { NetworkIndex } from "../../api/market/index/network-index.ts";

const TIMEOUT_MS = 120_000;

export interface NetworkMemory {
  readonly emptyRssMb: number;
  readonly rssMb: number;
  /** Heap and typed arrays after a collection: what an isolate would be charged for. */
  readonly heapMb: number;
}

export async function networkMemory(nodes: number, seed: number): Promise<NetworkMemory> {
  const program = fileURLToPath(import.meta.url);
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ["--expose-gc", program, String(nodes), String(seed)],
    {
      timeout: TIMEOUT_MS,
    },
  );
  return JSON.parse(stdout);
}

function measure(nodes: number, seed: number): NetworkMemory {
  const emptyRssMb = process.memoryUsage.rss() / 1e6;
  const index = new NetworkIndex();
  index.load(seedNodes({ nodes, seed }));
  globalThis.gc?.();
  const { rss, heapUsed, arrayBuffers } = process.memoryUsage();
  if (index.length !== nodes) throw new Error(`the index holds ${index.length} machines`);
  return { emptyRssMb, rssMb: rss / 1e6, heapMb: (heapUsed + arrayBuffers) / 1e6 };
}

if (import.meta.main) {
  const [nodes, seed] = process.argv.slice(2).map(Number);
  console.log(JSON.stringify(measure(nodes ?? 0, seed ?? 0)));
}

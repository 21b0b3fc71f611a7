/** What a run may have left on the machine: processes and containers that carry its folder or its clusters. */
import { readdir, readFile } from "node:fs/promises";
import { connectEngine } from "@volley/agent/runtime/engine-connection";

async function readOrEmpty(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch {
    // A process may end, or belong to somebody else, while we look.
    return "";
  }
}

/** Command lines of live processes that name any of these words. Linux only; elsewhere it finds none. */
async function processesNaming(words: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir("/proc").catch(() => [])) {
    if (!/^[0-9]+$/.test(entry) || Number(entry) === process.pid) continue;
    const command = (await readOrEmpty(`/proc/${entry}/cmdline`)).replaceAll("\0", " ").trim();
    const environment = await readOrEmpty(`/proc/${entry}/environ`);
    if (words.some((word) => command.includes(word) || environment.includes(word))) found.push(`${entry}: ${command}`);
  }
  return found;
}

async function containersOf(clusterIds: readonly string[]): Promise<string[]> {
  const engine = await connectEngine();
  if (engine === null) return [];
  const containers = await engine.docker.listContainers({ all: true });
  return containers
    .filter((container) => clusterIds.some((id) => JSON.stringify(container.Labels).includes(id)))
    .map((container) => `container ${container.Names.join(", ")}`);
}

export async function findLeftovers(folder: string, clusterIds: readonly string[]): Promise<string[]> {
  return [...(await processesNaming([folder, ...clusterIds])), ...(await containersOf(clusterIds))];
}

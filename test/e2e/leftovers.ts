/** What a run may have left on the machine: processes, containers and networks that carry its folder or its clusters. */
import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { promisify } from "node:util";

const ENGINE_TIMEOUT_MS = 20_000;

async function readOrEmpty(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch {
    // A process may end, or belong to somebody else, while we look.
    return "";
  }
}

/** Live processes whose command line or environment names any of these words. Linux only; elsewhere it finds none. */
async function processesNaming(words: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir("/proc").catch(() => [])) {
    if (!/^[0-9]+$/.test(entry) || Number(entry) === process.pid) continue;
    const command = (await readOrEmpty(`/proc/${entry}/cmdline`)).replaceAll("\0", " ").trim();
    const environment = await readOrEmpty(`/proc/${entry}/environ`);
    if (words.some((word) => command.includes(word) || environment.includes(word))) {
      found.push(`process ${entry}: ${command}`);
    }
  }
  return found;
}

/** Lines of an engine's list; none where that engine isn't installed. */
async function list(engine: string, args: readonly string[]): Promise<string[]> {
  try {
    const { stdout } = await promisify(execFile)(engine, [...args], { timeout: ENGINE_TIMEOUT_MS });
    return stdout.split("\n").filter((line) => line !== "");
  } catch {
    // Not installed, or a client without an engine: then there is nothing of ours in it either.
    return [];
  }
}

export async function findLeftovers(folder: string, clusterIds: readonly string[]): Promise<string[]> {
  const format = "{{.Names}} {{.Labels}}";
  const engines = await Promise.all(
    ["podman", "docker"].flatMap((engine) => [
      list(engine, ["ps", "--all", "--format", format]),
      list(engine, ["network", "ls", "--format", "{{.Name}}"]),
    ]),
  );
  const inEngines = engines.flat().filter((line) => clusterIds.some((id) => line.includes(id)));
  return [...(await processesNaming([folder, ...clusterIds])), ...inEngines];
}

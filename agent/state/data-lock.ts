import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { identifyProcess, isAlive, type ProcessIdentity } from "../runtime/process-identity.ts";

const attempts = 3;

/**
 * Keeps a second agent off the same data directory: two would sign with the same counters. Answers how to let go.
 * @throws Error when another agent runs on it.
 */
export async function lockDataDirectory(directory: string): Promise<() => void> {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const path = join(directory, "agent.lock");
  const self = await identifyProcess(process.pid);
  const draft = `${path}.${process.pid}`;
  for (let attempt = 0; attempt < attempts; attempt++) {
    writeFileSync(draft, JSON.stringify(self), { mode: 0o600 });
    try {
      linkSync(draft, path);
      return () => rmSync(path, { force: true });
    } catch (error) {
      if (!(error instanceof Error && Reflect.get(error, "code") === "EEXIST")) {
        throw error;
      }
    } finally {
      rmSync(draft, { force: true });
    }
    const holder = readHolder(path);
    if (holder !== null && (await isAlive(holder))) {
      throw new Error(`Another agent, process ${holder.pid}, already uses ${directory}; choose another --data-dir.`);
    }
    rmSync(path, { force: true });
  }
  throw new Error(`${path} cannot be taken; remove it if no agent uses ${directory}.`);
}

/** Null for a lock that cannot be read, too: it appears whole, so only a power cut can have left it, and its holder is gone. */
function readHolder(path: string): ProcessIdentity | null {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as ProcessIdentity;
  } catch (error) {
    const isGone = error instanceof Error && Reflect.get(error, "code") === "ENOENT";
    if (isGone || error instanceof SyntaxError) {
      return null;
    }
    throw error;
  }
}

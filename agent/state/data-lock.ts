import { createHash } from "node:crypto";
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
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
  const self = JSON.stringify(await identifyProcess(process.pid));
  const release = () => rmSync(path, { force: true });
  for (let attempt = 0; attempt < attempts; attempt++) {
    if (create(path, self)) {
      return release;
    }
    const found = readIfThere(path);
    const holder = parseHolder(found);
    if (holder !== null && (await isAlive(holder))) {
      throw new Error(`Another agent, process ${holder.pid}, already uses ${directory}; choose another --data-dir.`);
    }
    if (found !== null && (await replace(path, found, self))) {
      return release;
    }
  }
  throw new Error(`${path} cannot be taken; remove it if no agent uses ${directory}.`);
}

/**
 * Puts a lock in the place of one whose holder is gone. Several agents may have found it, so only one at a time may
 * replace it, and only while it is still there. False when another was faster.
 */
async function replace(path: string, found: string, lock: string): Promise<boolean> {
  const claim = `${path}.${createHash("sha256").update(found).digest("hex").slice(0, 16)}`;
  if (!create(claim, lock)) {
    const claimer = parseHolder(readIfThere(claim));
    if (claimer === null || !(await isAlive(claimer))) {
      rmSync(claim, { force: true });
    }
    return false;
  }
  try {
    if (readIfThere(path) !== found) {
      return false;
    }
    const draft = writeDraft(path, lock);
    renameSync(draft, path);
    return true;
  } finally {
    rmSync(claim, { force: true });
  }
}

/** Makes the file as a whole; false when there is one. */
function create(path: string, content: string): boolean {
  const draft = writeDraft(path, content);
  try {
    linkSync(draft, path);
    return true;
  } catch (error) {
    if (hasCode(error, "EEXIST")) {
      return false;
    }
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

function writeDraft(path: string, content: string): string {
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, content, { mode: 0o600 });
  return draft;
}

function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (hasCode(error, "ENOENT")) {
      return null;
    }
    throw error;
  }
}

/** Null for a lock that cannot be read, too: it appears whole, so only a power cut can have left it, and its holder is gone. */
function parseHolder(lock: string | null): ProcessIdentity | null {
  try {
    return JSON.parse(lock ?? "null") as ProcessIdentity | null;
  } catch {
    return null;
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && Reflect.get(error, "code") === code;
}

import { link, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ProcessIdentity } from "./process-identity.ts";

/** What a supervisor needs to run a workload, as the agent wrote it. */
export interface ProcessSpec {
  readonly leaseId: string;
  readonly clusterId: string;
  readonly rank: number;
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** The files of one workload, all in a directory of its own. */
export function workloadFiles(directory: string) {
  return {
    directory,
    work: join(directory, "work"),
    temporary: join(directory, "tmp"),
    spec: join(directory, "spec.json"),
    supervisor: join(directory, "supervisor.json"),
    exit: join(directory, "exit.json"),
  };
}

export async function writeSpec(directory: string, spec: ProcessSpec): Promise<void> {
  const files = workloadFiles(directory);
  await mkdir(files.work, { recursive: true, mode: 0o700 });
  await mkdir(files.temporary, { recursive: true, mode: 0o700 });
  await writeAtomically(files.spec, spec);
}

export function readSpec(directory: string): Promise<ProcessSpec | null> {
  return readJson<ProcessSpec>(workloadFiles(directory).spec);
}

/** Claims the workload for one supervisor; false when another was first. */
export async function claimSupervisor(directory: string, identity: ProcessIdentity): Promise<boolean> {
  const path = workloadFiles(directory).supervisor;
  const draft = `${path}.${identity.pid}`;
  await writeFile(draft, JSON.stringify(identity), { mode: 0o600 });
  try {
    await link(draft, path);
    return true;
  } catch (error) {
    if (error instanceof Error && Reflect.get(error, "code") === "EEXIST") {
      return false;
    }
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
}

export function readSupervisor(directory: string): Promise<ProcessIdentity | null> {
  return readJson<ProcessIdentity>(workloadFiles(directory).supervisor);
}

export async function writeExit(directory: string, exitCode: number): Promise<void> {
  await writeAtomically(workloadFiles(directory).exit, { exitCode });
}

export async function readExit(directory: string): Promise<number | null> {
  return (await readJson<{ exitCode: number }>(workloadFiles(directory).exit))?.exitCode ?? null;
}

async function writeAtomically(path: string, value: unknown): Promise<void> {
  await writeFile(`${path}.new`, JSON.stringify(value), { mode: 0o600 });
  await rename(`${path}.new`, path);
}

/** These files are written by this program alone and whole, so one that is damaged, by a power cut, counts as lost. */
async function readJson<Value>(path: string): Promise<Value | null> {
  try {
    return JSON.parse(await readFile(path, "utf8")) as Value;
  } catch (error) {
    const isLost = error instanceof Error && ["ENOENT", "ENOTDIR"].includes(Reflect.get(error, "code"));
    if (isLost || error instanceof SyntaxError) {
      return null;
    }
    throw error;
  }
}

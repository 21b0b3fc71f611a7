import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";

/** A process that is told apart from any later one with the same number. */
export interface ProcessIdentity {
  readonly pid: number;
  /** When it began: on Linux boot id and clock ticks, elsewhere what `ps` prints. */
  readonly startedAt: string;
}

const runFile = promisify(execFile);
const psTimeoutMs = 5_000;

/** Who has this number now; null when nobody runs under it (a zombie does not run). */
export async function identifyProcess(pid: number): Promise<ProcessIdentity | null> {
  const startedAt = process.platform === "linux" ? await linuxStart(pid) : await psStart(pid);
  return startedAt === null ? null : { pid, startedAt };
}

/** True while this very process runs. */
export async function isAlive(identity: ProcessIdentity): Promise<boolean> {
  return (await identifyProcess(identity.pid))?.startedAt === identity.startedAt;
}

async function linuxStart(pid: number): Promise<string | null> {
  const stat = await readIfThere(`/proc/${pid}/stat`);
  if (stat === null) {
    return null;
  }
  // Fields after the command name, which is in parentheses and may hold anything: state is the 1st, start the 20th.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const ticks = fields[19];
  if (ticks === undefined || fields[0] === "Z" || fields[0] === "X") {
    return null;
  }
  const bootId = (await readIfThere("/proc/sys/kernel/random/boot_id")) ?? "";
  return `${bootId.trim()}:${ticks}`;
}

async function psStart(pid: number): Promise<string | null> {
  const answer = await runFile("ps", ["-o", "stat=,lstart=", "-p", String(pid)], { timeout: psTimeoutMs }).then(
    (result) => result.stdout.trim(),
    // ps fails when there is no such process.
    () => "",
  );
  const [, state = "", startedAt = ""] = /^(\S+)\s+(.+)$/.exec(answer) ?? [];
  return state === "" || state.startsWith("Z") ? null : startedAt;
}

async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    const code = error instanceof Error ? Reflect.get(error, "code") : undefined;
    if (code === "ENOENT" || code === "ESRCH") {
      return null;
    }
    throw error;
  }
}

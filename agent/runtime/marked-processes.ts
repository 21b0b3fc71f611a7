import { readdir, readFile } from "node:fs/promises";

/**
 * The processes whose environment carries `name=value`, which every descendant inherits, whatever group or session it
 * has made for itself. Empty where there is no /proc.
 */
export async function findMarkedProcesses(name: string, value: string): Promise<readonly number[]> {
  if (process.platform !== "linux") {
    return [];
  }
  const marker = Buffer.from(`\0${name}=${value}\0`);
  const pids = (await readdir("/proc")).filter((entry) => /^\d+$/.test(entry)).map(Number);
  const marked = await Promise.all(
    pids.map(async (pid) => {
      // A process may end while it is read, or belong to somebody else: neither is one of ours.
      const environment = await readFile(`/proc/${pid}/environ`).catch(() => Buffer.alloc(0));
      return pid !== process.pid && Buffer.concat([Buffer.from("\0"), environment]).includes(marker);
    }),
  );
  return pids.filter((_, index) => marked[index]);
}

/** Signals every process with the marker; answers how many there were. */
export async function signalMarkedProcesses(name: string, value: string, signal: NodeJS.Signals): Promise<number> {
  const pids = await findMarkedProcesses(name, value);
  for (const pid of pids) {
    sendSignal(pid, signal);
  }
  return pids.length;
}

/** Signals a process, or a group by its negative number; false when nobody is there any more. */
export function sendSignal(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch (error) {
    if (error instanceof Error && Reflect.get(error, "code") === "ESRCH") {
      return false;
    }
    throw error;
  }
}

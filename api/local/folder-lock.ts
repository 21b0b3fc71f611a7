/** One all-in-one per data folder: two would fight over the same Postgres files. */
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

/** @throws when another process that lives holds the folder; a lock left by a killed one is taken over */
export async function lockFolder(folder: string): Promise<() => Promise<void>> {
  const file = join(folder, "volley.pid");
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      await writeFile(file, String(process.pid), { flag: "wx" });
      return () => rm(file, { force: true });
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
      const holder = Number(await readFile(file, "utf8"));
      if (Number.isInteger(holder) && holder > 0 && holder !== process.pid && isAlive(holder)) {
        throw new Error(
          `${folder} is in use by process ${holder}. Stop it, or pass another --data-dir. If that process is another program, the folder was left or copied while in use: remove ${file}.`,
        );
      }
      await rm(file, { force: true });
    }
  }
  throw new Error(`${folder} is being taken by another process. Try again.`);
}

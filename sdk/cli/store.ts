/** Credentials kept on this machine: of an account, and of every cluster that was rented from here. */
import { chmod, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { CliError, EXIT } from "./exit-codes.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** A cluster that was rented from here. Its secret goes to no other API than the one that issued it. */
export interface KnownCluster {
  readonly id: string;
  /** Null when the account's credential opens it. */
  readonly secret: string | null;
  readonly apiUrl: string;
  readonly paymentIds: readonly string[];
  readonly name: string | null;
  readonly reservedAt: string;
  readonly hasEnded: boolean;
}

export interface Session {
  readonly token: string;
  readonly apiUrl: string;
  readonly wallet: string | null;
  readonly expiresAt: string | null;
}

const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;
/** Ended clusters beyond this are forgotten, oldest first. */
const ENDED_MAX = 500;
const ID_PATTERN = /^cl_[0-9a-z_]{1,64}$/;

function folderOf(env: Environment, variable: string, fallback: string): string {
  const base = env[variable];
  return join(base === undefined || base === "" ? join(env.HOME ?? homedir(), fallback) : base, "volley");
}

/** Under another name first, so that nobody ever reads half a file; readable for its owner alone from the start. */
async function writePrivately(path: string, value: unknown): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: FOLDER_MODE });
  const draft = `${path}.${process.pid}`;
  await writeFile(draft, `${JSON.stringify(value, null, 2)}\n`, { mode: FILE_MODE });
  await chmod(draft, FILE_MODE);
  await rename(draft, path);
}

async function readOptional<T>(path: string): Promise<T | null> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
  try {
    return JSON.parse(text);
  } catch {
    throw new CliError(EXIT.data, `${path} can't be read: it holds no JSON.`, "Remove the file.");
  }
}

export class Store {
  readonly #session: string;
  readonly #clusters: string;

  constructor(env: Environment) {
    this.#session = join(folderOf(env, "XDG_CONFIG_HOME", ".config"), "session.json");
    // A file per cluster, so that two rentals at the same time don't overwrite each other's.
    this.#clusters = join(folderOf(env, "XDG_STATE_HOME", ".local/state"), "clusters");
  }

  readSession(): Promise<Session | null> {
    return readOptional<Session>(this.#session);
  }

  async keepSession(session: Session): Promise<void> {
    await writePrivately(this.#session, session);
  }

  async forgetSession(): Promise<void> {
    await rm(this.#session, { force: true });
  }

  #fileOf(id: string): string {
    if (!ID_PATTERN.test(id))
      throw new CliError(EXIT.internal, "The API answered with a cluster id of an unknown form.");
    return join(this.#clusters, `${id}.json`);
  }

  async keepCluster(cluster: KnownCluster): Promise<void> {
    await writePrivately(this.#fileOf(cluster.id), cluster);
    await this.#forgetOldest();
  }

  async #forgetOldest(): Promise<void> {
    const ended = (await this.listClusters()).filter(({ hasEnded }) => hasEnded);
    for (const { id } of ended.slice(ENDED_MAX)) await rm(this.#fileOf(id), { force: true });
  }

  /** Newest first. */
  async listClusters(): Promise<KnownCluster[]> {
    let names: string[];
    try {
      names = await readdir(this.#clusters);
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
      throw error;
    }
    const files = names.filter((name) => name.endsWith(".json")).map((name) => join(this.#clusters, name));
    const all = await Promise.all(files.map((file) => readOptional<KnownCluster>(file)));
    return all
      .filter((cluster) => cluster !== null)
      .sort((one, other) => other.reservedAt.localeCompare(one.reservedAt));
  }
}

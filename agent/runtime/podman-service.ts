import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { lstat, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { RunCommand } from "../inventory/run-command.ts";
import { connectEngine, type EngineConnection, type Environment } from "./engine-connection.ts";
import { listContainers } from "./engine-contents.ts";
import { findMarkedProcesses, sendSignal } from "./marked-processes.ts";
import { podmanSettings, readPodmanSurroundings } from "./podman-settings.ts";
import { identifyProcess, isAlive, type ProcessIdentity } from "./process-identity.ts";

/** Podman's API, served by a process of ours because no system service offers it. */
export interface PodmanService {
  readonly engine: EngineConnection;
  /** Ends the API process. Containers live on: each has its own monitor. */
  stop(): Promise<void>;
}

const program = "podman";
const maxSocketPathBytes = 107;
const startTimeoutMs = 20_000;
const pollMs = 50;
const restartDelayMs = 1_000;

/** Long, because a removal that is cut off leaves a container without storage. */
const endTimeoutMs = 30_000;

/** After an agent that was killed its API process ends by itself when it was not asked anything for so long. */
const idleSeconds = 300;

/**
 * Serves Podman's API on a socket in `directory`, where Podman is installed; null where it is not or does not answer.
 * Podman is set up for this machine unless the environment or `/etc/containers/containers.conf` already does that.
 */
export async function startPodmanService(options: {
  readonly directory: string;
  readonly environment: Environment;
  readonly runCommand: RunCommand;
}): Promise<PodmanService | null> {
  const version = await options.runCommand(program, ["--version"], { timeoutMs: startTimeoutMs });
  if (process.platform !== "linux" || version?.exitCode !== 0) {
    return null;
  }
  await mkdir(options.directory, { recursive: true, mode: 0o700 });
  const address = `unix://${await socketPath(options.directory)}`;
  const environment = await serviceEnvironment(options.directory, options.environment);
  const service = new ServiceProcess(address, environment, options.directory);
  const found = await connectEngine(address);
  if (found !== null) {
    service.follow(await findServices(address));
  }
  const engine = found ?? (await service.start());
  if (engine === null) {
    return null;
  }
  const stop = async () => {
    // An engine that no longer answers may still hold containers, whose monitors must live.
    const containers = await listContainers(engine, {}).catch(() => null);
    await service.stop();
    const containerIds = containers === null ? null : new Set(containers.map(({ id }) => id));
    await endHelpers(environment.CONTAINERS_CONF ?? "", containerIds);
  };
  return { engine, stop };
}

/** The API processes that listen there: an agent that was killed has left them. */
async function findServices(address: string): Promise<readonly ProcessIdentity[]> {
  const pids = (await readdir("/proc")).filter((entry) => /^\d+$/.test(entry)).map(Number);
  const services = await Promise.all(
    pids.map(async (pid) => {
      const line = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
      const isService = line.includes("system\0service\0") && line.split("\0").includes(address);
      return isService ? identifyProcess(pid) : null;
    }),
  );
  return services.filter((service) => service !== null);
}

/**
 * Ends what else runs with our settings: an API process that an agent which was killed has left, and monitors of
 * commands in containers that are gone (known unless null), which only wait to be asked for exit codes.
 */
async function endHelpers(settingsPath: string, containerIds: ReadonlySet<string> | null): Promise<void> {
  for (const pid of await findMarkedProcesses("CONTAINERS_CONF", settingsPath)) {
    // A process that has ended meanwhile has no command line.
    const line = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    const [command = "", ...args] = line.split("\0");
    if (basename(command) === program && args[0] === "system" && args[1] === "service") {
      sendSignal(pid, "SIGTERM");
    } else if (basename(command) === "conmon" && containerIds !== null && !containerIds.has(monitoredId(args))) {
      sendSignal(pid, "SIGKILL");
    }
  }
}

function monitoredId(args: readonly string[]): string {
  return args[args.indexOf("-c") + 1] ?? "";
}

/** The name of a Unix socket holds 107 bytes; a deeper directory gets a short one of its own for it. */
async function socketPath(directory: string): Promise<string> {
  const path = join(directory, "podman.sock");
  if (Buffer.byteLength(path) <= maxSocketPathBytes) {
    return path;
  }
  const hash = createHash("sha256").update(directory).digest("hex").slice(0, 16);
  const shortDirectory = join(tmpdir(), `volley-${hash}`);
  await mkdir(shortDirectory, { recursive: true, mode: 0o700 });
  const { uid, mode } = await lstat(shortDirectory);
  if (uid !== process.getuid?.() || (mode & 0o077) !== 0) {
    throw new Error(`${shortDirectory} belongs to somebody else; choose a data directory with a shorter path.`);
  }
  return join(shortDirectory, "podman.sock");
}

async function serviceEnvironment(directory: string, environment: Environment): Promise<Environment> {
  if (environment.CONTAINERS_CONF !== undefined || existsSync("/etc/containers/containers.conf")) {
    return environment;
  }
  const path = join(directory, "containers.conf");
  await writeFile(path, podmanSettings(await readPodmanSurroundings()), { mode: 0o600 });
  return { ...environment, CONTAINERS_CONF: path };
}

class ServiceProcess {
  readonly #address: string;
  readonly #environment: Environment;
  readonly #directory: string;
  #child: ChildProcess | null = null;
  #restartTimer: NodeJS.Timeout | null = null;
  #stopped = false;

  constructor(address: string, environment: Environment, directory: string) {
    this.#address = address;
    this.#environment = environment;
    this.#directory = directory;
  }

  async start(): Promise<EngineConnection | null> {
    this.#spawn();
    const deadlineMs = performance.now() + startTimeoutMs;
    while (performance.now() < deadlineMs) {
      const engine = await connectEngine(this.#address);
      if (engine !== null) {
        return engine;
      }
      await new Promise((resolve) => setTimeout(resolve, pollMs));
    }
    await this.stop();
    return null;
  }

  /** Serves as soon as none of these does any more. */
  follow(left: readonly ProcessIdentity[]): void {
    this.#later(async () => {
      const alive = await Promise.all(left.map(isAlive));
      if (alive.includes(true)) {
        this.follow(left);
      } else if (!this.#stopped) {
        this.#spawn();
      }
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#restartTimer ?? undefined);
    const child = this.#child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) {
      return;
    }
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGTERM");
    const killTimer = setTimeout(() => child.kill("SIGKILL"), endTimeoutMs);
    await ended;
    clearTimeout(killTimer);
  }

  #spawn(): void {
    const child = spawn(program, ["system", "service", `--time=${idleSeconds}`, this.#address], {
      env: { ...this.#environment },
      // Podman's monitors leave a file named `oom` where they were started when a container runs out of memory.
      cwd: this.#directory,
      stdio: "ignore",
      // Its own group: an interrupt at the terminal must reach it only after the workloads were stopped through it.
      detached: true,
    });
    child.once("error", () => undefined);
    child.once("exit", () => {
      this.#later(() => this.#spawn());
    });
    child.unref();
    this.#child = child;
  }

  #later(work: () => void): void {
    if (!this.#stopped) {
      this.#restartTimer = setTimeout(work, restartDelayMs);
      this.#restartTimer.unref();
    }
  }
}

import { existsSync } from "node:fs";
import type Docker from "dockerode";

/** Where an engine was found and what it says it is. */
export interface EngineConnection {
  /** For questions that are answered at once; a call that stays silent for two minutes fails. */
  readonly docker: Docker;
  /** For output that may be silent for long; its users bound it by an abort signal. */
  readonly streams: Docker;
  readonly flavor: "docker" | "podman";
  /** Where Podman's own interface begins, such as `/v4.3.1/libpod`; null for Docker. */
  readonly libpodPath: string | null;
  /** It listens on a socket of this machine. */
  readonly isLocal: boolean;
  /** For people, such as `Podman 4.3.1 at /run/podman/podman.sock`. */
  readonly description: string;
}

export type Environment = Readonly<Record<string, string | undefined>>;

const probeTimeoutMs = 5_000;
const callTimeoutMs = 120_000;

/** The places where engines listen, most specific first. `DOCKER_HOST` alone counts when it is set. */
export function engineAddresses(environment: Environment): readonly string[] {
  const dockerHost = environment.DOCKER_HOST;
  if (dockerHost !== undefined && dockerHost !== "") {
    return [dockerHost];
  }
  const userRuntime = environment.XDG_RUNTIME_DIR;
  const home = environment.HOME;
  return [
    "/var/run/docker.sock",
    "/run/podman/podman.sock",
    ...(userRuntime ? [`${userRuntime}/docker.sock`, `${userRuntime}/podman/podman.sock`] : []),
    ...(home ? [`${home}/.docker/run/docker.sock`] : []),
  ].map((path) => `unix://${path}`);
}

/** Asks the engine at `address` who it is; null when nothing answers there within five seconds. */
export async function connectEngine(address: string): Promise<EngineConnection | null> {
  const path = address.startsWith("unix://") ? address.slice("unix://".length) : null;
  if (path !== null && !existsSync(path)) {
    return null;
  }
  const target = path === null ? tcpTarget(address) : { socketPath: path };
  if (target === null) {
    return null;
  }
  // A large library, and a machine without an engine never needs it.
  const { default: Engine } = await import("dockerode");
  try {
    const version = await new Engine({ ...target, timeout: probeTimeoutMs }).version();
    const podman = version.Components?.find((component) => /podman/i.test(component.Name));
    return {
      docker: new Engine({ ...target, timeout: callTimeoutMs }),
      streams: new Engine(target),
      flavor: podman ? "podman" : "docker",
      libpodPath: podman ? `/v${podman.Version}/libpod` : null,
      isLocal: path !== null,
      description: `${podman ? "Podman" : "Docker"} ${version.Version} at ${path ?? address}`,
    };
  } catch (error) {
    if (error instanceof Error) {
      return null;
    }
    throw error;
  }
}

function tcpTarget(address: string): { host: string; port: number; protocol: "http" | "https" } | null {
  if (!URL.canParse(address)) {
    return null;
  }
  const url = new URL(address);
  if (url.hostname === "" || !["tcp:", "http:", "https:"].includes(url.protocol)) {
    return null;
  }
  return {
    host: url.hostname,
    port: Number(url.port || "2375"),
    protocol: url.protocol === "https:" ? "https" : "http",
  };
}

/** The HTTP status with which the engine refused, or null when the failure was something else. */
export function engineStatus(error: unknown): number | null {
  const status = typeof error === "object" && error !== null ? Reflect.get(error, "statusCode") : undefined;
  return typeof status === "number" ? status : null;
}

const awayCodes = new Set(["ECONNREFUSED", "ECONNRESET", "ENOENT", "EPIPE"]);
const restartTimeoutMs = 15_000;
const pollMs = 50;

/** Asks again while nobody listens, as when an engine is being restarted. What is asked must bear repetition. */
export function whenEngineAnswers<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
  const isAway = (error: unknown) => awayCodes.has(error instanceof Error ? Reflect.get(error, "code") : undefined);
  return askAgainWhile(isAway, restartTimeoutMs, ask);
}

/** Asks again while what fails is expected to pass, and gives up after so long. */
export async function askAgainWhile<Answer>(
  passes: (error: unknown) => boolean,
  timeoutMs: number,
  ask: () => Promise<Answer>,
): Promise<Answer> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!passes(error) || performance.now() > deadlineMs) {
        throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, pollMs));
    }
  }
}

/** The engine's own words, without the client's prefix. */
export function engineMessage(error: unknown): string {
  const json = typeof error === "object" && error !== null ? Reflect.get(error, "json") : undefined;
  const said = typeof json === "object" && json !== null ? Reflect.get(json, "message") : undefined;
  const message =
    typeof said === "string" && said !== "" ? said : error instanceof Error ? error.message : String(error);
  return message.replace(/^\(HTTP code \d+\) /, "").slice(0, 500);
}

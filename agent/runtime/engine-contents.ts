import { type EngineConnection, engineStatus } from "./engine-connection.ts";

export interface EngineContainer {
  readonly id: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** In the engine's own words: Podman and Docker have different ones. */
  readonly state: string;
  /** Null while it has none. */
  readonly exitCode: number | null;
}

export interface EngineNetwork {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

type Labels = Readonly<Record<string, string>>;

/**
 * The containers, running or not, that have these labels.
 *
 * Podman is asked by its own interface here and in `listNetworks`: where it speaks Docker's it looks into the storage
 * of every container, in lists of networks too, and refuses all of them for one whose storage is gone, as it is when
 * Podman was killed while it removed that one.
 */
export async function listContainers(engine: EngineConnection, having: Labels): Promise<readonly EngineContainer[]> {
  if (engine.libpodPath !== null) {
    const found = await askPodman<PodmanContainer>(engine, "containers/json", having);
    return found.map((container) => ({
      id: container.Id,
      name: container.Names?.[0] ?? "",
      labels: container.Labels ?? {},
      state: container.State,
      exitCode: container.Exited ? container.ExitCode : null,
    }));
  }
  const found = await engine.docker.listContainers({ all: true, filters: { label: labelFilters(having) } });
  return Promise.all(
    found.map(async (container) => ({
      id: container.Id,
      // Docker writes the path of its parent before it.
      name: container.Names[0]?.slice(1) ?? "",
      labels: container.Labels,
      state: container.State,
      exitCode: container.State === "exited" ? await dockerExitCode(engine, container.Id) : null,
    })),
  );
}

/** The networks that have these labels. */
export async function listNetworks(engine: EngineConnection, having: Labels): Promise<readonly EngineNetwork[]> {
  if (engine.libpodPath !== null) {
    const found = await askPodman<PodmanNetwork>(engine, "networks/json", having);
    return found.map((network) => ({ name: network.name, labels: network.labels ?? {} }));
  }
  const found = await engine.docker.listNetworks({ filters: { label: labelFilters(having) } });
  return found.map((network) => ({ name: network.Name, labels: network.Labels ?? {} }));
}

interface PodmanContainer {
  readonly Id: string;
  readonly Names: readonly string[] | null;
  readonly Labels: Labels | null;
  readonly State: string;
  readonly Exited: boolean;
  readonly ExitCode: number;
}

interface PodmanNetwork {
  readonly name: string;
  readonly labels?: Labels;
}

function askPodman<Found>(engine: EngineConnection, path: string, having: Labels): Promise<readonly Found[]> {
  const request = {
    // The client replaces the question mark by the options.
    path: `${engine.libpodPath}/${path}?`,
    method: "GET",
    options: { all: true, filters: { label: labelFilters(having) } },
    statusCodes: { 200: true },
  };
  return new Promise((resolve, reject) => {
    engine.docker.modem.dial(request, (error, answer) => {
      if (error) {
        reject(error);
      } else {
        resolve((answer ?? []) as readonly Found[]);
      }
    });
  });
}

function labelFilters(having: Labels): string[] {
  return Object.entries(having).map(([name, value]) => `${name}=${value}`);
}

async function dockerExitCode(engine: EngineConnection, id: string): Promise<number | null> {
  try {
    return (await engine.docker.getContainer(id).inspect()).State.ExitCode;
  } catch (error) {
    if (engineStatus(error) === 404) {
      return null;
    }
    throw error;
  }
}

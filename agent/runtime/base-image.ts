import { createHash } from "node:crypto";
import type { Readable } from "node:stream";
import type Docker from "dockerode";
import { collectBaseImage, describeContents } from "./base-image-files.ts";
import { askAgainWhile, type EngineConnection, engineMessage, engineStatus } from "./engine-connection.ts";
import { packImage } from "./pack-image.ts";
import { SerialQueue } from "./serial-queue.ts";
import { WorkloadError } from "./workload-runtime.ts";

/** What runs when the renter names no image. */
export const defaultImage = "docker.io/library/node:24-slim";

/** Where the image goes that is built from this machine's own files; the tag is a hash of its contents. */
const localRepository = "localhost/volley-base";

const pullTimeoutMs = 15 * 60_000;
const pullSilenceMs = 60_000;
const importTimeoutMs = 5 * 60_000;
const settleTimeoutMs = 10_000;

const imagePattern = /^[a-z0-9][a-z0-9._:/@-]{0,254}$/i;

/**
 * Answers the name under which the engine has the image (null: the default one).
 * @param signal ends the fetching of a named image; its reason is thrown
 * @throws WorkloadError `image_unavailable`
 */
export type EnsureImage = (image: string | null, signal?: AbortSignal) => Promise<string>;

/**
 * Makes sure that an image is there, and fetches it if not. When the default image is neither there nor to be fetched,
 * an image with `sh`, `node` and common tools is built from this machine's own files, so that a machine that reaches
 * no registry can run workloads too. One image is not fetched twice at once, and waits for no other: renters name them,
 * and their registries may be slow.
 */
export function newEnsureImage(engine: EngineConnection, log: (sentence: string) => void): EnsureImage {
  const queues = new Map<string | null, SerialQueue>();
  let known: string | null = null;
  return (image, signal) => {
    const queue = queues.get(image) ?? new SerialQueue();
    queues.set(image, queue);
    return queue.run(async () => {
      if (image !== null) {
        return ensureNamedImage(engine, image, signal);
      }
      if (known === null || !(await hasImage(engine.docker, known))) {
        known = await ensureDefaultImage(engine, log);
      }
      return known;
    });
  };
}

async function ensureNamedImage(engine: EngineConnection, image: string, signal?: AbortSignal): Promise<string> {
  signal?.throwIfAborted();
  if (!imagePattern.test(image)) {
    throw new WorkloadError("image_unavailable", `${JSON.stringify(image.slice(0, 80))} is not the name of an image.`);
  }
  const name = qualifiedName(image);
  if (await hasImage(engine.docker, name)) {
    return name;
  }
  const problem = await pull(engine, name, signal);
  if (problem !== null) {
    throw new WorkloadError("image_unavailable", `The image ${name} cannot be fetched: ${problem}`);
  }
  return name;
}

async function ensureDefaultImage(engine: EngineConnection, log: (sentence: string) => void): Promise<string> {
  if (await hasImage(engine.docker, defaultImage)) {
    return defaultImage;
  }
  const local = await describeLocalImage();
  if (local !== null && (await hasImage(engine.docker, local.name))) {
    return local.name;
  }
  const problem = await pull(engine, defaultImage);
  if (problem === null) {
    return defaultImage;
  }
  if (local === null) {
    throw new WorkloadError(
      "image_unavailable",
      `The default image ${defaultImage} cannot be fetched, and none can be built on ${process.platform}: ${problem}`,
    );
  }
  log(`${defaultImage} cannot be fetched (${problem}); building ${local.name} from this machine's own files instead.`);
  await importImage(engine.streams, local.name, packImage(local.contents));
  if (!(await hasImage(engine.docker, local.name))) {
    throw new WorkloadError("image_unavailable", `The engine did not keep the image ${local.name} that was built.`);
  }
  return local.name;
}

async function describeLocalImage() {
  if (process.platform !== "linux") {
    return null;
  }
  const contents = await collectBaseImage(process.execPath);
  const hash = createHash("sha256")
    .update(await describeContents(contents))
    .digest("hex");
  return { contents, name: `${localRepository}:${hash.slice(0, 12)}` };
}

async function importImage(streams: Docker, name: string, tar: Readable): Promise<void> {
  const changes = ["ENV PATH=/usr/local/bin:/usr/bin:/bin", "WORKDIR /workspace", 'CMD ["sh"]'];
  const signal = AbortSignal.timeout(importTimeoutMs);
  try {
    const progress = await streams.importImage(tar, { repo: name, changes, abortSignal: signal });
    for await (const _ of progress) {
      // The engine answers when it is done; what it says on the way is not needed.
    }
  } catch (error) {
    throw new WorkloadError("image_unavailable", `The base image cannot be built: ${engineMessage(error)}`, {
      cause: error,
    });
  }
}

/** Fetches an image; answers why it could not be, or null. Engines report failures as a line of a successful answer. */
async function pull(engine: EngineConnection, name: string, wanted?: AbortSignal): Promise<string | null> {
  const silence = new AbortController();
  const limits = [silence.signal, AbortSignal.timeout(pullTimeoutMs)];
  const signal = AbortSignal.any(wanted === undefined ? limits : [...limits, wanted]);
  const silenceTimer = setTimeout(() => silence.abort(), pullSilenceMs);
  let lastLine = "";
  try {
    const progress = await engine.streams.createImage({ fromImage: name, abortSignal: signal });
    for await (const piece of progress) {
      silenceTimer.refresh();
      lastLine = `${lastLine}${piece}`.slice(-4_000);
    }
  } catch (error) {
    wanted?.throwIfAborted();
    return signal.aborted ? "the registry did not answer in time" : engineMessage(error);
  } finally {
    clearTimeout(silenceTimer);
  }
  return (await hasImage(engine.docker, name)) ? null : pullProblem(lastLine);
}

function pullProblem(output: string): string {
  const matches = [...output.matchAll(/"error"\s*:\s*"((?:[^"\\]|\\.)*)"/g)];
  return matches.at(-1)?.[1]?.slice(0, 300) ?? "the engine fetched nothing";
}

async function hasImage(docker: Docker, name: string): Promise<boolean> {
  try {
    // Podman fails to read an image that another agent of this machine is just writing.
    const isBeingWritten = (error: unknown) => engineStatus(error) === 500;
    await askAgainWhile(isBeingWritten, settleTimeoutMs, () => docker.getImage(name).inspect());
    return true;
  } catch (error) {
    if (engineStatus(error) === 404) {
      return false;
    }
    throw error;
  }
}

/** Docker's rule for short names, spelled out because Podman would ask a person: `node` is `docker.io/library/node:latest`. */
function qualifiedName(image: string): string {
  const slash = image.indexOf("/");
  const first = slash === -1 ? "" : image.slice(0, slash);
  const hasHost = first === "localhost" || /[.:]/.test(first);
  const path = hasHost ? image : `docker.io/${slash === -1 ? "library/" : ""}${image}`;
  const rest = path.slice(path.lastIndexOf("/") + 1);
  return /[:@]/.test(rest) ? path : `${path}:latest`;
}

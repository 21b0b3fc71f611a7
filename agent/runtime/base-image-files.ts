import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { readdir, realpath, stat } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";

/** One file of the image: where it is on this machine and where it goes. */
export interface ImageFile {
  readonly source: string;
  readonly target: string;
}

export interface ImageLink {
  readonly target: string;
  readonly pointsTo: string;
}

export interface ImageContents {
  readonly files: readonly ImageFile[];
  readonly links: readonly ImageLink[];
}

const runFile = promisify(execFile);
const commandTimeoutMs = 10_000;
const maxOutputBytes = 4 * 1024 * 1024;

/** What scripts expect of a small Linux; those that this machine does not have are left out. */
const tools = (
  "awk bash cat chmod cp cut date df dirname du env expr false find getent grep gzip head hostname id ip kill ln ls " +
  "mkdir mktemp mv nproc printenv printf ps pwd readlink rm rmdir sed seq sha256sum sleep sort stat stty tail tar " +
  "tee test timeout touch tr true uname uniq wc whoami xargs yes"
).split(" ");

const systemFiles = ["/etc/ssl/certs/ca-certificates.crt", "/etc/nsswitch.conf", "/etc/services", "/etc/protocols"];

/**
 * Collects a minimal root file system from this machine's own files: `sh`, `node`, common tools and the shared
 * libraries that they load. Everything that is needed for it is on a machine that runs this agent.
 */
export async function collectBaseImage(nodePath: string): Promise<ImageContents> {
  const programs = new Map<string, string>([["/usr/bin/node", nodePath]]);
  const shell = await realpath("/bin/sh");
  programs.set("/usr/bin/sh", shell);
  for (const tool of tools) {
    const found = findProgram(tool);
    if (found !== null) {
      programs.set(`/usr/bin/${tool}`, await realpath(found));
    }
  }
  const busybox = findProgram("busybox");
  const links = busybox === null ? [] : await busyboxLinks(busybox, programs);
  if (busybox !== null) {
    programs.set("/usr/bin/busybox", await realpath(busybox));
  }
  const files: ImageFile[] = [...programs].map(([target, source]) => ({ source, target }));
  for (const library of await sharedLibraries([...new Set(programs.values())])) {
    files.push({ source: await realpath(library), target: library.startsWith("/usr/") ? library : `/usr${library}` });
  }
  for (const path of systemFiles) {
    if (existsSync(path)) {
      files.push({ source: await realpath(path), target: path });
    }
  }
  return { files: uniqueByTarget(files), links };
}

/** A short fingerprint of what would go into the image, so that a changed machine builds a new one. */
export async function describeContents(contents: ImageContents): Promise<string> {
  const lines = await Promise.all(
    contents.files.map(async ({ source, target }) => {
      const { size, mtimeMs } = await stat(source);
      return `${target} ${size} ${Math.trunc(mtimeMs)}`;
    }),
  );
  return [...lines, ...contents.links.map((link) => `${link.target} -> ${link.pointsTo}`)].sort().join("\n");
}

/** busybox brings what the machine's own tools left open, without replacing one of them. */
async function busyboxLinks(busybox: string, programs: ReadonlyMap<string, string>): Promise<ImageLink[]> {
  const { stdout } = await runFile(busybox, ["--list"], { timeout: commandTimeoutMs });
  return stdout
    .split("\n")
    .filter((applet) => /^[a-z0-9[_-]+$/i.test(applet) && applet !== "busybox")
    .map((applet) => ({ target: `/usr/bin/${applet}`, pointsTo: "busybox" }))
    .filter((link) => !programs.has(link.target));
}

async function sharedLibraries(programs: readonly string[]): Promise<readonly string[]> {
  const output = await runFile("ldd", [...programs], { timeout: commandTimeoutMs, maxBuffer: maxOutputBytes }).then(
    (result) => result.stdout,
    // ldd fails when one of the programs is static or a script, and answers for the others all the same.
    (error: unknown) => String((error instanceof Error && Reflect.get(error, "stdout")) || ""),
  );
  const libraries = new Set<string>();
  for (const match of output.matchAll(/^\s+(?:\S+ => )?(\/\S+) \(0x/gm)) {
    if (match[1] !== undefined) {
      libraries.add(match[1]);
    }
  }
  // The rest of the C library: it opens parts by name when it looks up hosts and users, and what a GPU's driver puts
  // into the container (libcuda, nvidia-smi) is linked with the others.
  for (const library of [...libraries].filter((path) => /\/libc\.so\.6$/.test(path))) {
    const directory = library.slice(0, library.lastIndexOf("/"));
    for (const name of await readdir(directory)) {
      if (/^lib(nss_(dns|files)|resolv|rt|dl|pthread|m|util)\.so\.\d+$/.test(name)) {
        libraries.add(join(directory, name));
      }
    }
  }
  return [...libraries];
}

function findProgram(name: string): string | null {
  const directories = [...(process.env.PATH ?? "").split(delimiter), "/usr/bin", "/bin", "/usr/sbin", "/sbin"];
  const path = directories
    .filter((directory) => /^\/(usr\/)?s?bin$/.test(directory))
    .map((directory) => join(directory, name))
    .find((candidate) => existsSync(candidate));
  return path ?? null;
}

function uniqueByTarget(files: readonly ImageFile[]): readonly ImageFile[] {
  return [...new Map(files.map((file) => [file.target, file])).values()];
}

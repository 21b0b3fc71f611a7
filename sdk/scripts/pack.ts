/** Builds sdk/dist, the package as it is published, and checks what publint and attw, which run after it, do not. */
import { execFile } from "node:child_process";
import { chmod, copyFile, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { isBuiltin } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { type BuildOptions, build, type Metafile } from "esbuild";

const SDK = fileURLToPath(new URL("..", import.meta.url));
const ROOT = join(SDK, "..");
const DIST = join(SDK, "dist");
const ENTRIES = ["index", "solana"];
/** The promise of the README: what a browser loads for the client alone, minified and compressed. */
const CORE_GZIP_BYTES_MAX = 12_000;
/** All that `npx volley` runs, with the part that signs and the QR encoder. */
const CLI_GZIP_BYTES_MAX = 60_000;

const run = promisify(execFile);

const shared = {
  bundle: true,
  format: "esm",
  target: "es2022",
  platform: "neutral",
  external: ["@solana/kit", "node:*"],
  absWorkingDir: SDK,
  metafile: true,
  logLevel: "warning",
} as const satisfies BuildOptions;

async function tool(name: string, ...args: string[]): Promise<void> {
  try {
    await run(join(ROOT, "node_modules/.bin", name), args, { cwd: SDK });
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string };
    throw new Error(`${name} failed:\n${stdout ?? ""}${stderr ?? ""}`, { cause: error });
  }
}

/** One chunk is shared by the entry points, so that an error class is the same class in both. */
async function buildCode(): Promise<void> {
  const entryPoints = ENTRIES.map((name) => `${name}.ts`);
  const { metafile } = await build({ ...shared, entryPoints, outdir: DIST, splitting: true });
  const outside = (file: string): string[] =>
    (metafile.outputs[file]?.imports ?? []).flatMap(({ path, external }) => (external ? [path] : outside(path)));
  const imported = outside("dist/index.js");
  if (imported.length > 0) throw new Error(`the core imports ${imported.join(", ")}; it must import nothing`);
}

/** The licences of the packages that are inside a bundle must go with it. */
async function collectNotices(metafile: Metafile): Promise<string> {
  const folders = new Set<string>();
  for (const input of Object.keys(metafile.inputs)) {
    const match = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input);
    if (match?.[1] !== undefined) folders.add(join(SDK, match[1]));
  }
  const notices = [...folders].sort().map(async (folder) => {
    const { name, version, license } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
    const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry));
    const text = file === undefined ? "" : await readFile(join(folder, file), "utf8");
    return `${name} ${version} (${license})\n\n${text.trim()}\n`;
  });
  return (await Promise.all(notices)).join(`\n${"-".repeat(80)}\n\n`);
}

/** One program that needs nothing but Node. What signs is a chunk of its own, loaded where something is signed. */
async function buildCli(): Promise<void> {
  const outdir = join(DIST, "cli");
  const { metafile } = await build({
    ...shared,
    platform: "node",
    target: "node20",
    external: [],
    entryPoints: ["cli/main.ts"],
    outdir,
    splitting: true,
    minify: true,
    legalComments: "none",
  });
  const outputs = Object.entries(metafile.outputs);
  const outside = outputs.flatMap(([, { imports }]) =>
    imports.filter(({ external }) => external).map(({ path }) => path),
  );
  const foreign = outside.filter((path) => !isBuiltin(path));
  if (foreign.length > 0) throw new Error(`the command line imports ${[...new Set(foreign)].join(", ")}`);
  await writeFile(join(outdir, "THIRD-PARTY-NOTICES.txt"), await collectNotices(metafile));
  const program = join(outdir, "main.js");
  await chmod(program, 0o755);
  const sizes = outputs.map(async ([file]) => gzipSync(await readFile(join(SDK, file)), { level: 9 }).length);
  const bytes = (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
  const main = gzipSync(await readFile(program), { level: 9 }).length;
  console.log(
    `cli: ${(bytes / 1000).toFixed(1)} kB gzip (limit: ${CLI_GZIP_BYTES_MAX / 1000} kB), ${(main / 1000).toFixed(1)} kB of it at each start`,
  );
  if (bytes > CLI_GZIP_BYTES_MAX) throw new Error("the command line is larger than its limit");
}

/** As npm installs it: alone, through a link. */
async function checkCli(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "volley-cli-installed-"));
  try {
    const link = join(folder, "bin/volley");
    await mkdir(dirname(link));
    await cp(DIST, join(folder, "sdk"), { recursive: true });
    await symlink(join(folder, "sdk/cli/main.js"), link);
    if (((await stat(link)).mode & 0o111) === 0) throw new Error("the command line is no program");
    const { version } = JSON.parse(await readFile(join(SDK, "package.json"), "utf8"));
    const { stdout } = await run(process.execPath, [link, "--version"]);
    if (stdout.trim() !== version) throw new Error(`volley --version says ${stdout.trim()}, not ${version}`);
    // A key pair that is not there: the part that signs loads, and the refusal has its own code.
    const refusal = await run(process.execPath, [
      link,
      "pay",
      "solana:x",
      "--keypair",
      "/none",
      "--rpc-url",
      "http://x",
    ]).catch((error: { code?: number }) => error.code);
    if (refusal !== 64) throw new Error(`volley pay ended with ${refusal}, not 64`);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** The declarations of the whole contract are the SDK's own: nothing of the schema package shows in them. */
async function buildTypes(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "volley-sdk-types-"));
  try {
    const options = [
      "--noEmit",
      "false",
      "--declaration",
      "--emitDeclarationOnly",
      "--outDir",
      folder,
      "--rootDir",
      ROOT,
    ];
    const config = join(folder, "tsconfig.json");
    const files = ENTRIES.map((name) => join(SDK, `${name}.ts`));
    const typeRoots = [join(ROOT, "node_modules/@types")];
    await writeFile(
      config,
      JSON.stringify({ extends: join(ROOT, "tsconfig.json"), compilerOptions: { typeRoots }, files, include: [] }),
    );
    await tool("tsc", "-p", config, ...options);
    await cp(join(folder, "sdk"), DIST, { recursive: true });
  } finally {
    await rm(folder, { recursive: true });
  }
  for (const path of await readdir(DIST, { recursive: true })) {
    if (!path.endsWith(".d.ts")) continue;
    const text = await readFile(join(DIST, path), "utf8");
    if (text.includes("@volley/")) throw new Error(`${path} names a package that is not published`);
    // The compiler leaves the sources' own endings in declarations; consumers resolve .js to .d.ts.
    await writeFile(join(DIST, path), text.replaceAll(/(from |import\()"(\.[^"]+)\.ts"/g, '$1"$2.js"'));
  }
}

async function writeManifest(): Promise<void> {
  const { name, version, description, license, type, peerDependencies, peerDependenciesMeta } = JSON.parse(
    await readFile(join(SDK, "package.json"), "utf8"),
  );
  const exports = Object.fromEntries(
    ENTRIES.map((entry) => [
      entry === "index" ? "." : `./${entry}`,
      { types: `./${entry}.d.ts`, default: `./${entry}.js` },
    ]),
  );
  const manifest = {
    name,
    version,
    description,
    license,
    type,
    exports,
    bin: { volley: "cli/main.js" },
    sideEffects: false,
    engines: { node: ">=20" },
    peerDependencies,
    peerDependenciesMeta,
  };
  await writeFile(join(DIST, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
  await copyFile(join(SDK, "README.md"), join(DIST, "README.md"));
  await copyFile(join(ROOT, "LICENSE"), join(DIST, "LICENSE"));
}

const CONSUMER = `import { type Cluster, Volley } from "@volley/sdk";
export async function use(quoteToken: string): Promise<Cluster> {
  await using cluster = await new Volley({ fetch }).clusters.reserve({ quoteToken });
  for await (const line of cluster.run("true", { signal: AbortSignal.timeout(1) })) line.text satisfies string;
  return cluster.data;
}
`;

/** A project without Node's types, as in a browser or a Worker, compiles against the package. */
async function checkConsumer(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "volley-sdk-consumer-"));
  try {
    await mkdir(join(folder, "node_modules/@volley"), { recursive: true });
    await symlink(DIST, join(folder, "node_modules/@volley/sdk"));
    await writeFile(join(folder, "use.ts"), CONSUMER);
    for (const [module, moduleResolution] of [
      ["esnext", "bundler"],
      ["nodenext", "nodenext"],
    ]) {
      const lib = ["es2022", "dom", "dom.asynciterable", "esnext.disposable"];
      const compilerOptions = {
        strict: true,
        noEmit: true,
        target: "es2022",
        lib,
        module,
        moduleResolution,
        types: [],
      };
      await writeFile(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["use.ts"] }));
      await tool("tsc", "-p", folder);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function measureCore(): Promise<number> {
  const { outputFiles } = await build({ ...shared, entryPoints: ["index.ts"], minify: true, write: false });
  return gzipSync(outputFiles[0]?.contents ?? "", { level: 9 }).length;
}

await rm(DIST, { recursive: true, force: true });
await buildCode();
await buildCli();
await buildTypes();
await writeManifest();
await checkConsumer();
await checkCli();
await run(process.execPath, [
  "--input-type=module",
  "-e",
  `new (await import(${JSON.stringify(join(DIST, "index.js"))})).Volley()`,
]);
const bytes = await measureCore();
console.log(`core: ${(bytes / 1000).toFixed(1)} kB gzip, minified (limit: ${CORE_GZIP_BYTES_MAX / 1000} kB)`);
if (bytes > CORE_GZIP_BYTES_MAX) throw new Error("the core is larger than its limit");

/** Builds sdk/dist, the package as it is published, and checks what publint and attw, which run after it, do not. */
import { execFile } from "node:child_process";
import { copyFile, cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { type BuildOptions, build } from "esbuild";

const SDK = fileURLToPath(new URL("..", import.meta.url));
const ROOT = join(SDK, "..");
const DIST = join(SDK, "dist");
const ENTRIES = ["index", "solana"];
/** The promise of the README: what a browser loads for the client alone, minified and compressed. */
const CORE_GZIP_BYTES_MAX = 12_000;

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
await buildTypes();
await writeManifest();
await checkConsumer();
await run(process.execPath, [
  "--input-type=module",
  "-e",
  `new (await import(${JSON.stringify(join(DIST, "index.js"))})).Volley()`,
]);
const bytes = await measureCore();
console.log(`core: ${(bytes / 1000).toFixed(1)} kB gzip, minified (limit: ${CORE_GZIP_BYTES_MAX / 1000} kB)`);
if (bytes > CORE_GZIP_BYTES_MAX) throw new Error("the core is larger than its limit");

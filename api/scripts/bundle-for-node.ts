import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const API = fileURLToPath(new URL("..", import.meta.url));

/** Some CommonJS packages ask for Node's own modules by `require`. */
const REQUIRE = `import { createRequire } from "node:module"; const require = createRequire(import.meta.url);`;

/**
 * Bundles programs for Node with all that they import. A process then reads a few files where it else reads hundreds
 * and strips their types, which takes a second and 150 MB that are never given back. What is imported when first needed
 * is in files of its own, under `parts`, and costs nothing before.
 */
export async function bundleForNode(entryPoints: Readonly<Record<string, string>>, outdir: string): Promise<void> {
  await build({
    entryPoints: { ...entryPoints },
    outdir,
    bundle: true,
    platform: "node",
    format: "esm",
    splitting: true,
    chunkNames: "parts/[name]-[hash]",
    target: "node24",
    outExtension: { ".js": ".mjs" },
    sourcemap: "linked",
    banner: { js: REQUIRE },
    // Optional to type-graphql, which is told not to validate.
    alias: { "class-validator": `${API}entry/absent/class-validator.ts` },
    absWorkingDir: API,
    logLevel: "warning",
  });
}

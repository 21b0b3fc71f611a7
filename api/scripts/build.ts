/** Builds what a production machine runs: dist/server/node.mjs and dist/server/treasury.mjs, with their parts. */
import { rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { bundleForNode } from "./bundle-for-node.ts";

const OUT = fileURLToPath(new URL("../../dist/server", import.meta.url));

// Parts have names that change with what is in them.
await rm(OUT, { recursive: true, force: true });
await bundleForNode({ node: "entry/node.ts", treasury: "entry/treasury.ts" }, OUT);
console.log(`Built: ${OUT}/node.mjs and treasury.mjs`);

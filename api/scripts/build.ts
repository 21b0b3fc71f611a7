/** Builds what a production machine runs: dist/server/node.mjs and dist/server/treasury.mjs. */
import { fileURLToPath } from "node:url";
import { bundleForNode } from "./bundle-for-node.ts";

const OUT = fileURLToPath(new URL("../../dist/server", import.meta.url));

await bundleForNode({ node: "entry/node.ts", treasury: "entry/treasury.ts" }, OUT);
console.log(`Built: ${OUT}/node.mjs and treasury.mjs`);

/** Two copies of `graphql` in one process refuse each other's schemas, so exactly one may be installed. */
import { readFile } from "node:fs/promises";

const lock: { packages: Record<string, unknown> } = JSON.parse(await readFile("package-lock.json", "utf8"));
const copies = Object.keys(lock.packages).filter((path) => path.endsWith("node_modules/graphql"));
if (copies.length !== 1) {
  console.error(`graphql is installed ${copies.length} times: ${copies.join(", ")}. Keep one through "overrides".`);
  process.exit(1);
}
console.log("graphql: one copy");

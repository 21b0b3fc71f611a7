/**
 * Writes what is derived from the contract: schema/openapi.json and schema/schema.graphql.
 * With `--check` it only compares, and fails when a file on disk says something else.
 */
import { readFile, writeFile } from "node:fs/promises";
import { lexicographicSortSchema, printSchema } from "graphql";
import { graphqlSchema } from "./graphql/schema.ts";
import { openapiDocument } from "./openapi.ts";

const check = process.argv.includes("--check");
const derived: Readonly<Record<string, string>> = {
  "schema/openapi.json": `${JSON.stringify(openapiDocument(), null, 2)}\n`,
  "schema/schema.graphql": `${printSchema(lexicographicSortSchema(graphqlSchema))}\n`,
};

const stale: string[] = [];
for (const [path, text] of Object.entries(derived)) {
  const url = new URL(`../../${path}`, import.meta.url);
  const onDisk = await readFile(url, "utf8").catch(() => "");
  if (onDisk === text) continue;
  stale.push(path);
  if (!check) await writeFile(url, text);
}
if (check && stale.length > 0) {
  console.error(
    `Not up to date with the contract: ${stale.join(", ")}. Run \`npm run generate\` and commit the result.`,
  );
  process.exit(1);
}
console.log(stale.length === 0 ? "The derived files are up to date." : `Written: ${stale.join(", ")}.`);

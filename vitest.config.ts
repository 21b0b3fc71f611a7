import { fileURLToPath } from "node:url";
import { configDefaults, defineConfig } from "vitest/config";
import { mutateSources } from "./test/mutants/mutate-sources.ts";

// Many tests start programs of ours: what has been compiled once is not compiled again.
process.env.NODE_COMPILE_CACHE ??= fileURLToPath(new URL("node_modules/.cache/compiled", import.meta.url));

/** Change globals of their process, or are told apart by it. */
const APART = ["crash", "simulation", "runtime", "sdk", "cli", "e2e", "agent"].map(
  (folder) => `test/${folder}/**/*.test.ts`,
);

export default defineConfig({
  resolve: { alias: { graphql: "graphql/index.js" }, dedupe: ["graphql"] },
  test: {
    testTimeout: 60_000,
    hookTimeout: 60_000,
    maxWorkers: 3,
    server: { deps: { inline: ["type-graphql", "graphql-query-complexity", "@apollo/server"] } },
    projects: [
      {
        extends: true,
        plugins: [mutateSources()],
        test: { name: "apart", include: APART, globalSetup: ["test/harness/global-setup.ts"] },
      },
      {
        extends: true,
        plugins: [mutateSources()],
        test: {
          name: "together",
          include: ["test/**/*.test.ts"],
          exclude: [...configDefaults.exclude, ...APART],
          globalSetup: ["test/harness/global-setup.ts"],
          // The modules of the API are loaded once for all of these files.
          isolate: false,
        },
      },
    ],
  },
});

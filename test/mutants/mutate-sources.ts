import { fileURLToPath } from "node:url";
import type { Plugin } from "vitest/config";
import { mutantOfRun, mutated } from "./mutant.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Tests read the sources without what this run's mutant is without; the files stay as they are. */
export function mutateSources(): Plugin {
  const replacements = mutantOfRun()?.sources ?? [];
  return {
    name: "mutant",
    enforce: "pre",
    transform(code, id) {
      const concerned = replacements.filter((replacement) => `${ROOT}${replacement.in}` === id.split("?")[0]);
      return concerned.length === 0 ? null : concerned.reduce(mutated, code);
    },
  };
}

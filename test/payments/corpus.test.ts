import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { CORPUS } from "./corpus.ts";
import { type CorpusResult, renderCorpus, runCase } from "./run-corpus.ts";

const results: CorpusResult[] = [];

test.each(CORPUS.map((entry) => [`${entry.group}: ${entry.name}`, entry] as const))("%s", async (_name, entry) => {
  const result = await runCase(entry);
  results.push(result);
  expect(result.ours).toEqual(entry.expected);
});

test("the table in docs/payments-corpus.md is what they give", async () => {
  expect(results.length).toBeGreaterThanOrEqual(60);
  const file = fileURLToPath(new URL("../../docs/payments-corpus.md", import.meta.url));
  expect(await readFile(file, "utf8")).toBe(renderCorpus(results));
});

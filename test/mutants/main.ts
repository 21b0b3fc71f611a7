/**
 * `npm run mutants [-- <words>]`: takes away one rule after the other (a constraint, a unique key, a claim, a lock)
 * and runs the tests that have to see it. Exits with 1 when one of them saw nothing.
 */
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Mutant, NOTHING_TO_REPLACE } from "./mutant.ts";
import { MUTANTS } from "./mutants.ts";

interface Report {
  readonly numTotalTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    /** Why the file could not be run. */
    readonly message: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

/** @returns names of the tests that failed */
async function failures(folder: string, tests: readonly string[], mutant: Mutant | null): Promise<string[]> {
  const file = join(folder, "report.json");
  await rm(file, { force: true });
  const output: string[] = [];
  const run = spawn("vitest", ["run", "--no-fsModuleCache", "--reporter=json", `--outputFile=${file}`, ...tests], {
    env: { ...process.env, VOLLEY_MUTANT: mutant === null ? "" : JSON.stringify(mutant) },
    stdio: ["ignore", "pipe", "pipe"],
  });
  for (const stream of [run.stdout, run.stderr]) stream.on("data", (piece) => output.push(String(piece)));
  await new Promise((resolve) => run.once("close", resolve));
  const report = await readFile(file, "utf8").then(
    (text) => JSON.parse(text) as Report,
    () => null,
  );
  // Broken so that nothing starts is not seen by a test.
  if (report === null || report.numTotalTests === 0) throw new Error(output.join("").slice(-2_000));
  return report.testResults.flatMap(({ name, status, message, assertionResults }) => {
    if (message.includes(NOTHING_TO_REPLACE)) throw new Error(message);
    const failed = assertionResults.filter((result) => result.status === "failed").map(({ fullName }) => fullName);
    if (failed.length > 0 || status !== "failed") return failed;
    return [`${name.slice(name.indexOf("test/"))}, before its first test: ${message.split("\n")[0]}`];
  });
}

const words = process.argv.slice(2);
const chosen = MUTANTS.filter(({ without }) => words.every((word) => without.includes(word)));
const folder = await mkdtemp(join(tmpdir(), "volley-mutants-"));
let unseen = 0;
try {
  const sound = await failures(folder, [...new Set(chosen.flatMap(({ tests }) => tests))], null);
  if (sound.length > 0) throw new Error(`With nothing taken away these fail: ${sound.join("; ")}`);
  for (const mutant of chosen) {
    const seen = await failures(folder, mutant.tests, mutant);
    if (seen.length === 0) unseen++;
    const [first] = seen;
    console.log(`${seen.length === 0 ? "UNSEEN" : "seen"}  without ${mutant.without}`);
    if (first !== undefined) console.log(`        ${seen.length} fail, the first: ${first}`);
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
console.log(`\n${chosen.length - unseen} of ${chosen.length} were seen`);
process.exitCode = unseen === 0 ? 0 : 1;

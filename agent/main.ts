import { startAgent } from "./agent.ts";
import { printLog } from "./print-log.ts";
import { type CommandLine, OptionsError, readOptions, usage } from "./read-options.ts";
import { systemClock } from "./system-clock.ts";

function readCommandLine(): CommandLine {
  try {
    return readOptions(process.argv.slice(2), process.env);
  } catch (error) {
    if (!(error instanceof OptionsError)) {
      throw error;
    }
    process.stderr.write(`${error.message}\n\n${usage}`);
    process.exit(2);
  }
}

async function main(): Promise<void> {
  const { stopWorkloads, ...options } = readCommandLine();
  const log = printLog((line) => process.stderr.write(line), systemClock.nowMs);
  // Its reader has gone, or its disk is full: no reason to leave the machine's workloads alone.
  process.stderr.on("error", () => undefined);
  const interrupted = new Promise((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      // Once only: a second signal ends the process at once, which the next start copes with.
      process.once(signal, resolve);
    }
  });
  const agent = await startAgent({ ...options, environment: process.env, log });
  await interrupted;
  await agent.stop({ stopWorkloads });
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

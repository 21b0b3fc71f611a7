#!/usr/bin/env node
/** The command `volley`. */
import { constants } from "node:os";
import { text } from "node:stream/consumers";
import { runCli } from "./run-cli.ts";
import { VERSION } from "./version.ts";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

const stop = new AbortController();
for (const signal of SIGNALS) {
  process.on(signal, () => {
    const exitCode = 128 + constants.signals[signal];
    // Whoever insists gets out at once; what still runs ends with its lease.
    if (stop.signal.aborted) process.exit(exitCode);
    process.stderr.write("\nvolley: stopping; once more leaves at once and lets clusters run on\n");
    stop.abort(exitCode);
  });
}

/** Nobody reads the results any more, as in `volley … | head`. */
function onBrokenPipe(error: Error): void {
  if (!("code" in error) || error.code !== "EPIPE") throw error;
  stop.abort(128 + constants.signals.SIGPIPE);
}
process.stdout.on("error", onBrokenPipe);
process.stderr.on("error", onBrokenPipe);

process.exitCode = await runCli(
  {
    env: process.env,
    isErrTty: process.stderr.isTTY === true,
    signal: stop.signal,
    out: (chunk) => process.stdout.write(chunk),
    err: (chunk) => process.stderr.write(chunk),
    readStdin: () => text(process.stdin),
  },
  process.argv.slice(2),
  VERSION,
);

/**
 * The parent of one workload that runs as a process: a small program of its own, so that the workload outlives the
 * agent. Leads the workload's process group, keeps its output in files of limited size and records its exit code.
 * Usage: node process-supervisor.ts DIRECTORY
 */
import { spawn } from "node:child_process";
import { constants } from "node:os";
import { OutputJournal } from "./output-journal.ts";
import { claimSupervisor, readSpec, workloadFiles, writeExit } from "./process-files.ts";
import { identifyProcess } from "./process-identity.ts";

const drainMs = 1_000;

const directory = process.argv[2] ?? "";
const spec = await readSpec(directory);
const identity = await identifyProcess(process.pid);
if (spec === null || identity === null || !(await claimSupervisor(directory, identity))) {
  process.exit(1);
}

// Signals to the group are for the workload; this program ends when the workload has.
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
  process.on(signal, () => undefined);
}

const journal = new OutputJournal(directory);
const [program = "sh", ...args] = spec.command;
const child = spawn(program, args, {
  cwd: workloadFiles(directory).work,
  env: spec.env,
  stdio: ["ignore", "pipe", "pipe"],
});
child.stdout.on("data", (data: Uint8Array) => journal.append("stdout", data));
child.stderr.on("data", (data: Uint8Array) => journal.append("stderr", data));

const exitCode = await new Promise<number>((resolve) => {
  child.once("error", (error) => {
    journal.append("stderr", Buffer.from(`${error.message}\n`));
    resolve(127);
  });
  child.once("exit", (code, signal) => {
    const result = code ?? 128 + (signal === null ? 0 : constants.signals[signal]);
    const done = () => resolve(result);
    child.once("close", done);
    // Something in the background may hold the output open; the workload has ended all the same.
    setTimeout(done, drainMs).unref();
  });
});
journal.close();
await writeExit(directory, exitCode);
process.kill(-process.pid, "SIGKILL");

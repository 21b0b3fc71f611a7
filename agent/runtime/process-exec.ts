import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { constants } from "node:os";
import type { Readable, Writable } from "node:stream";
import { sendSignal, signalMarkedProcesses } from "./marked-processes.ts";
import { mergeOutput } from "./merge-output.ts";
import { type ProcessSpec, workloadFiles } from "./process-files.ts";
import type { ExecEvent, ExecRequest } from "./workload-runtime.ts";

const drainMs = 1_000;

/** Every process of an exec carries this variable, by which it is found when it must end. */
export const execMarker = "VOLLEY_EXECUTION_ID";

/** Runs one command beside a workload's main process, in its directory and with its environment. */
export async function* execAsProcess(
  directory: string,
  spec: ProcessSpec,
  request: ExecRequest,
): AsyncGenerator<ExecEvent> {
  const [program = "", ...args] = request.command;
  const child = spawn(program, args, {
    cwd: workloadFiles(directory).work,
    env: { ...spec.env, ...request.env, [execMarker]: request.execId },
    stdio: ["pipe", "pipe", "pipe"],
    detached: true,
  });
  const ended = exitOf(child);
  const closeOutput = () => {
    child.stdout.destroy();
    child.stderr.destroy();
  };
  const abort = () => {
    killGroup(child.pid);
    closeOutput();
  };
  request.signal.addEventListener("abort", abort, { once: true });
  let drainTimer: NodeJS.Timeout | undefined;
  // Something in the background may hold the output open; the command has ended all the same.
  child.once("exit", () => {
    drainTimer = setTimeout(closeOutput, drainMs);
  });
  // A command may end without reading all of its input.
  child.stdin.on("error", () => undefined);
  child.stdin.end(request.stdin ?? undefined);
  try {
    yield* mergeOutput(child.stdout, child.stderr);
    request.signal.throwIfAborted();
    const outcome = await ended;
    if ("problem" in outcome) {
      yield { stream: "stderr", data: Buffer.from(`${outcome.problem}\n`) };
    }
    yield { exitCode: outcome.exitCode };
  } finally {
    clearTimeout(drainTimer);
    request.signal.removeEventListener("abort", abort);
    if (request.signal.aborted || child.exitCode === null) {
      killGroup(child.pid);
      await signalMarkedProcesses(execMarker, request.execId, "SIGKILL");
    }
  }
}

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

async function exitOf(child: Child): Promise<{ exitCode: number; problem?: string }> {
  try {
    const [code, signal] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
    return { exitCode: code ?? 128 + (signal === null ? 0 : constants.signals[signal]) };
  } catch (error) {
    const code = error instanceof Error ? Reflect.get(error, "code") : undefined;
    return { exitCode: code === "ENOENT" ? 127 : 126, problem: error instanceof Error ? error.message : String(error) };
  }
}

function killGroup(pid: number | undefined): void {
  if (pid !== undefined) {
    sendSignal(-pid, "SIGKILL");
  }
}

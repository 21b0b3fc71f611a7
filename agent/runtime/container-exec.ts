import type { Duplex } from "node:stream";
import type Docker from "dockerode";
import { type EngineConnection, engineMessage, engineStatus, whenEngineAnswers } from "./engine-connection.ts";
import { readOutputFrames } from "./multiplexed-output.ts";
import { untilClosed } from "./until-closed.ts";
import { type ExecEvent, type ExecRequest, WorkloadError } from "./workload-runtime.ts";

const settleTimeoutMs = 15_000;
const pollMs = 50;

/** Every process of an exec carries this variable, since the engine offers no way to end one. */
const execMarker = "VOLLEY_EXECUTION_ID";

const killScript = `for entry in /proc/[0-9]*; do
  if grep -q "${execMarker}=$1" "$entry/environ" 2>/dev/null; then kill -KILL "\${entry#/proc/}" 2>/dev/null; fi
done
true`;

/**
 * Runs one command in a running container and yields its output and, last, its exit code. A command that the image
 * does not have ends as in a shell: a line on stderr and exit code 127.
 * @throws WorkloadError `not_running`, `exec_failed`; the signal's reason when aborted
 */
export async function* execInContainer(
  engine: EngineConnection,
  name: string,
  request: ExecRequest,
): AsyncGenerator<ExecEvent> {
  await requireRunning(engine.docker, name);
  request.signal.throwIfAborted();
  const exec = await engine.streams
    .getContainer(name)
    .exec(execOptions(request))
    .catch((error: unknown) => {
      request.signal.throwIfAborted();
      throw new WorkloadError("exec_failed", `The engine refused the command: ${engineMessage(error)}`, {
        cause: error,
      });
    });
  let socket: Duplex;
  try {
    socket = await exec.start({ hijack: true, stdin: request.stdin !== null, abortSignal: request.signal });
  } catch (error) {
    if (request.signal.aborted) {
      await killExec(engine.docker, name, request.execId);
    }
    request.signal.throwIfAborted();
    yield* describeRefusedCommand(error);
    return;
  }
  const abort = () => socket.destroy();
  request.signal.addEventListener("abort", abort, { once: true });
  socket.on("error", () => socket.destroy());
  let ended = false;
  try {
    if (request.signal.aborted) {
      socket.destroy();
    }
    if (request.stdin !== null) {
      socket.end(request.stdin);
    }
    yield* readOutputFrames(untilClosed(socket), { wholeFrames: false });
    request.signal.throwIfAborted();
    const exitCode = await exitCodeOf(engine, exec.id, name);
    ended = true;
    yield { exitCode };
  } finally {
    request.signal.removeEventListener("abort", abort);
    socket.destroy();
    // Aborted, given up by the reader, or broken: the engine itself would let the command run on.
    if (!ended) {
      await killExec(engine.docker, name, request.execId);
    }
  }
}

/** Ends every process of an exec, also one that an earlier agent process started; harmless when there is none. */
export async function killExec(docker: Docker, name: string, execId: string): Promise<void> {
  try {
    await whenEngineAnswers(() => runKillScript(docker, name, execId));
  } catch (error) {
    // The container may have ended meanwhile, and its processes with it.
    const state = await inspectRunning(docker, name);
    if (state) {
      throw new WorkloadError("exec_failed", `The command could not be ended: ${engineMessage(error)}`, {
        cause: error,
      });
    }
  }
}

async function runKillScript(docker: Docker, name: string, execId: string): Promise<void> {
  const exec = await docker
    .getContainer(name)
    .exec({ Cmd: ["sh", "-c", killScript, "sh", execId], AttachStdout: true, AttachStderr: true });
  const socket = await exec.start({ hijack: true, stdin: false });
  socket.on("error", () => undefined);
  socket.resume();
  await new Promise<void>((resolve) => socket.once("close", resolve).once("end", resolve));
  socket.destroy();
}

function execOptions(request: ExecRequest): Docker.ExecCreateOptions {
  return {
    Cmd: [...request.command],
    AttachStdin: request.stdin !== null,
    AttachStdout: true,
    AttachStderr: true,
    Tty: false,
    Env: Object.entries({ ...request.env, [execMarker]: request.execId }).map(([key, value]) => `${key}=${value}`),
    abortSignal: request.signal,
  };
}

async function exitCodeOf({ docker, flavor }: EngineConnection, execId: string, name: string): Promise<number> {
  const deadlineMs = performance.now() + settleTimeoutMs;
  for (;;) {
    const state = await whenEngineAnswers(() => docker.getExec(execId).inspect()).catch((error: unknown) => {
      if (engineStatus(error) === 404) {
        return null;
      }
      throw error;
    });
    // Podman says 0 of what it has begun and not yet noted as running, too; only what has ended can be removed.
    const hasEnded = state !== null && !state.Running && (flavor === "docker" || state.CanRemove);
    if (hasEnded && state.ExitCode !== null) {
      return state.ExitCode;
    }
    if (state === null || !(await inspectRunning(docker, name))) {
      throw new WorkloadError("exec_failed", "The workload ended before the command did.");
    }
    if (performance.now() > deadlineMs) {
      throw new WorkloadError("exec_failed", "The engine has lost the command's output, so the command was ended.");
    }
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}

function* describeRefusedCommand(error: unknown): Generator<ExecEvent> {
  const message = engineMessage(error);
  const missing = /not found|no such file/i.test(message);
  const denied = /permission denied/i.test(message);
  if (!missing && !denied) {
    throw new WorkloadError("exec_failed", `The engine could not run the command: ${message}`, { cause: error });
  }
  yield { stream: "stderr", data: Buffer.from(`${message}\n`) };
  yield { exitCode: missing ? 127 : 126 };
}

async function requireRunning(docker: Docker, name: string): Promise<void> {
  if (!(await inspectRunning(docker, name))) {
    throw new WorkloadError("not_running", "The workload is not running, so no command can be run in it.");
  }
}

async function inspectRunning(docker: Docker, name: string): Promise<boolean> {
  try {
    return (await whenEngineAnswers(() => docker.getContainer(name).inspect())).State.Running;
  } catch (error) {
    if (engineStatus(error) === 404) {
      return false;
    }
    throw error;
  }
}

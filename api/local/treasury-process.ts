/** The treasury of the all-in-one: a process of its own, started again when it dies, gone when we are. */
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Clock } from "../ports/clock.ts";
import type { Logger } from "../ports/logger.ts";

const PAUSE_MS_MIN = 500;
const PAUSE_MS_MAX = 30_000;
/** After so long a life a death counts as the first. */
const HEALTHY_MS = 60_000;
const STOP_TIMEOUT_MS = 15_000;
const STDERR = 2;

export interface TreasuryProcessOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly program: URL;
  /** All that it gets to know. */
  readonly environment: Readonly<Record<string, string>>;
}

export interface TreasuryProcess {
  stop(): Promise<void>;
}

export function startTreasuryProcess(options: TreasuryProcessOptions): TreasuryProcess {
  const stopping = new AbortController();
  const kept = keepRunning(options, stopping.signal);
  return {
    async stop() {
      stopping.abort(new Error("the all-in-one is stopping"));
      await kept;
    },
  };
}

async function keepRunning(options: TreasuryProcessOptions, signal: AbortSignal): Promise<void> {
  const { clock, logger } = options;
  for (let pauseMs = PAUSE_MS_MIN; !signal.aborted; ) {
    const startedMs = clock.nowMs();
    const ending = await runOnce(options, signal);
    if (signal.aborted) return;
    if (clock.nowMs() - startedMs >= HEALTHY_MS) pauseMs = PAUSE_MS_MIN;
    logger.error("the treasury's process has ended and is started again", { ending, pause_ms: pauseMs });
    await clock.sleep(pauseMs, signal).catch(() => undefined);
    pauseMs = Math.min(PAUSE_MS_MAX, 2 * pauseMs);
  }
}

/** @returns how it ended */
async function runOnce({ clock, program, environment }: TreasuryProcessOptions, signal: AbortSignal): Promise<string> {
  const child = spawn(process.execPath, [fileURLToPath(program)], {
    env: environment,
    // What it prints goes where our log goes. The channel carries nothing: it closes when we die, however we die.
    stdio: ["ignore", STDERR, STDERR, "ipc"],
    // A Ctrl-C in our terminal is for us; we stop it in our order.
    detached: true,
  });
  const ended = endOf(child);
  const stop = async () => {
    child.kill("SIGTERM");
    const inTime = new AbortController();
    const cut = clock.sleep(STOP_TIMEOUT_MS, inTime.signal).then(
      () => child.kill("SIGKILL"),
      () => false,
    );
    await ended;
    inTime.abort();
    await cut;
  };
  if (signal.aborted) await stop();
  else signal.addEventListener("abort", stop, { once: true });
  const ending = await ended;
  signal.removeEventListener("abort", stop);
  return ending;
}

function endOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, killedBy) => resolve(killedBy ?? `exit code ${code}`));
  });
}

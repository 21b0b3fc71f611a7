/** A terminal that remembers, in front of an API that answers what the test says; and the real program. */
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { runCli } from "../../sdk/cli/run-cli.ts";
import { BASE_URL, type fakeApi } from "../sdk/fake-api.ts";

export async function homeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "volley-cli-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Setting {
  readonly home: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly isErrTty?: boolean;
  readonly signal?: AbortSignal;
  readonly onErr?: (text: string) => void;
}

/** In this process. */
export async function volley(
  api: ReturnType<typeof fakeApi>,
  argv: readonly string[],
  setting: Setting,
): Promise<Ended> {
  const printed = { stdout: "", stderr: "" };
  const code = await runCli(
    {
      env: { HOME: setting.home, VOLLEY_API_URL: BASE_URL, ...setting.env },
      fetch: api.fetch,
      isErrTty: setting.isErrTty ?? false,
      signal: setting.signal ?? new AbortController().signal,
      out(text) {
        printed.stdout += text;
      },
      err(text) {
        printed.stderr += text;
        setting.onErr?.(text);
      },
      readStdin: async () => "typed",
    },
    argv,
    "1.2.3",
  );
  return { code, ...printed };
}

export interface RunningProgram {
  readonly ended: Promise<Ended>;
  /** As Ctrl-C does; once, because a second one leaves at once. */
  interrupt(): void;
}

/** As a program of its own. `onOutput` gets all that was printed so far, with every piece. */
export function startVolley(
  argv: readonly string[],
  env: Readonly<Record<string, string>>,
  onOutput: (printed: string) => void = () => undefined,
): RunningProgram {
  const child = spawn(process.execPath, ["sdk/cli/main.ts", ...argv], {
    cwd: new URL("../..", import.meta.url),
    env: { PATH: process.env.PATH, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const printed = { stdout: "", stderr: "" };
  let isInterrupted = false;
  for (const stream of ["stdout", "stderr"] as const) {
    child[stream].on("data", (chunk: Buffer) => {
      printed[stream] += chunk.toString();
      onOutput(printed.stdout + printed.stderr);
    });
  }
  return {
    ended: new Promise((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (code) => resolve({ code, ...printed }));
    }),
    interrupt() {
      if (!isInterrupted) child.kill("SIGINT");
      isInterrupted = true;
    },
  };
}

import { execFile } from "node:child_process";

/** What a command printed and how it ended. `exitCode` is null when a signal or the timeout ended it. */
export interface CommandResult {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a program without a shell. Resolves with null when the program is not installed;
 * a program that fails resolves too, with its exit code, so that the caller decides what a failure means.
 */
export type RunCommand = (
  file: string,
  args: readonly string[],
  options: { readonly timeoutMs: number },
) => Promise<CommandResult | null>;

const maxOutputBytes = 8 * 1024 * 1024;

/** The real {@link RunCommand}: output is limited to 8 MiB per stream, and the program is killed at the timeout. */
export const runCommand: RunCommand = (file, args, { timeoutMs }) =>
  new Promise((resolve, reject) => {
    execFile(
      file,
      [...args],
      { timeout: timeoutMs, maxBuffer: maxOutputBytes, encoding: "utf8", killSignal: "SIGKILL" },
      (error, stdout, stderr) => {
        if (error === null) {
          resolve({ exitCode: 0, stdout, stderr });
        } else if (error.code === "ENOENT" || error.code === "EACCES") {
          resolve(null);
        } else if (typeof error.code === "number" || error.killed === true || error.signal !== undefined) {
          resolve({ exitCode: typeof error.code === "number" ? error.code : null, stdout, stderr });
        } else {
          reject(error);
        }
      },
    );
  });

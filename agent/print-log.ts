import type { AgentLog } from "./ports.ts";

type Write = (line: string) => void;

/** One JSON object per line, as log collectors take it. */
export function printLog(write: Write, nowMs: () => number): AgentLog {
  const print = (level: "info" | "warn") => (message: string, details?: Readonly<Record<string, unknown>>) =>
    write(`${JSON.stringify({ time: new Date(nowMs()).toISOString(), level, message, ...details })}\n`);
  return { info: print("info"), warn: print("warn") };
}

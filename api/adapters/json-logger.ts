/** One JSON object per line; credentials never reach it. */
import type { Clock } from "../ports/clock.ts";
import type { LogFields, Logger } from "../ports/logger.ts";

const LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LEVELS)[number];

/** Fields whose value is a credential, whatever their case and separators. */
const SECRET_FIELD =
  /authorization|secret|token|node_?signature|password|cookie|api_?key|private|idempotency_?key|env$/i;
/** The values of a failed statement, as drizzle appends them to its message. */
const STATEMENT_VALUES = /\nparams: [\s\S]*?(?=\n {4}at |$)/g;
/** Credentials inside a text. */
const SECRET_TEXT = /\b(Bearer\s+)[A-Za-z0-9._~+/=-]+|\bvly_[A-Za-z0-9_]+|(:\/\/[^:/@\s]+:)[^@\s]+@/g;
const REDACTED = "[redacted]";
const DEPTH_MAX = 6;
const TEXT_LENGTH_MAX = 8192;

function redactText(text: string): string {
  const plain = text.replace(STATEMENT_VALUES, `\nparams: ${REDACTED}`);
  const short = plain.length > TEXT_LENGTH_MAX ? `${plain.slice(0, TEXT_LENGTH_MAX)}…` : plain;
  return short.replace(SECRET_TEXT, (_, bearer?: string, user?: string) =>
    user === undefined ? `${bearer ?? ""}${REDACTED}` : `${user}${REDACTED}@`,
  );
}

function redact(name: string, value: unknown, depth: number): unknown {
  if (value === null || value === undefined || typeof value === "boolean" || typeof value === "number") return value;
  // Ids of secrets, and counts, are no secrets; texts under such a name are.
  if (SECRET_FIELD.test(name)) return REDACTED;
  if (typeof value === "bigint") return value.toString();
  if (typeof value === "string") return redactText(value);
  if (depth >= DEPTH_MAX) return "[deep]";
  if (value instanceof Error) {
    return {
      name: value.name,
      message: redactText(value.message),
      stack: redactText(value.stack ?? ""),
      ...("code" in value ? { code: redact("code", value.code, depth + 1) } : {}),
      ...(value.cause === undefined ? {} : { cause: redact("cause", value.cause, depth + 1) }),
    };
  }
  if (Array.isArray(value)) return value.map((item) => redact("", item, depth + 1));
  if (typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, redact(key, item, depth + 1)]));
  }
  return `[${typeof value}]`;
}

export interface JsonLoggerOptions {
  readonly clock: Clock;
  readonly level: LogLevel;
  readonly write: (line: string) => void;
}

export function jsonLogger(options: JsonLoggerOptions, fields: LogFields = {}): Logger {
  const lowest = LEVELS.indexOf(options.level);
  const log =
    (level: LogLevel) =>
    (message: string, more: LogFields = {}) => {
      if (LEVELS.indexOf(level) < lowest) return;
      const time = new Date(options.clock.nowMs()).toISOString();
      const rest = redact("", { ...fields, ...more }, 0) as object;
      options.write(JSON.stringify({ time, level, message: redactText(message), ...rest }));
    };
  return {
    debug: log("debug"),
    info: log("info"),
    warn: log("warn"),
    error: log("error"),
    with: (more) => jsonLogger(options, { ...fields, ...more }),
  };
}

/** Hides what opens doors before it reaches a log. */
const HIDDEN = "[redacted]";
/** Names of headers and of members, whatever their casing. */
const SECRET_NAMES = /^(authorization|cookie|secret|token|api_?key|.*token|.*-signature|env|stdin)$/i;
const DEPTH_MAX = 8;

export function redact(value: unknown, depth = 0): unknown {
  if (value === null || typeof value !== "object") return value;
  if (depth >= DEPTH_MAX) return HIDDEN;
  if (Array.isArray(value)) return value.map((item) => redact(item, depth + 1));
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [name, SECRET_NAMES.test(name) ? HIDDEN : redact(item, depth + 1)]),
  );
}

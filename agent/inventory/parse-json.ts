import { InventoryError } from "./inventory-error.ts";

export type JsonRecord = Readonly<Record<string, unknown>>;

/** True for a JSON object, not for an array or null. */
export function isRecord(value: unknown): value is JsonRecord {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Reads the JSON object in a tool's output; tools may print warnings in front of it.
 * @throws InventoryError when there is none.
 */
export function parseJsonObject(tool: string, output: string): JsonRecord {
  const start = output.indexOf("{");
  const end = output.lastIndexOf("}");
  if (start === -1 || end < start) {
    throw new InventoryError(tool, "printed no JSON object");
  }
  let value: unknown;
  try {
    value = JSON.parse(output.slice(start, end + 1));
  } catch (error) {
    throw new InventoryError(tool, `printed JSON that cannot be read (${error instanceof Error ? error.message : ""})`);
  }
  if (!isRecord(value)) {
    throw new InventoryError(tool, "printed JSON that is not an object");
  }
  return value;
}

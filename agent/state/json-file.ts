import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Reads a file that {@link writeJsonFile} wrote; null when there is none.
 * @throws Error when the file was damaged by somebody else, with its path.
 */
export function readJsonFile<Value>(path: string): Value | null {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && Reflect.get(error, "code") === "ENOENT") {
      return null;
    }
    throw error;
  }
  try {
    return JSON.parse(text) as Value;
  } catch (error) {
    throw new Error(`${path} is damaged; restore it, or remove it to start without it.`, { cause: error });
  }
}

/** Replaces the file as a whole: a crash leaves the old one or the new one. Readable by this user only. */
export function writeJsonFile(path: string, value: unknown): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  writeFileSync(`${path}.new`, `${JSON.stringify(value)}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

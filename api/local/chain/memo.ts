import type { DecodedMessage } from "./decode-transaction.ts";

export const memoPrograms: readonly string[] = [
  "MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr",
  "Memo1UhkJRfHyvLMcVucJwxXeuD728EqVDDwQDxFMNo",
];

/** The text of a memo instruction, or null when it is not UTF-8. */
export function memoText(data: Uint8Array): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(data);
  } catch (error) {
    if (error instanceof TypeError) return null;
    throw error;
  }
}

/** The memos of a message in the form of getSignaturesForAddress: `[bytes] text`, joined by "; ". */
export function memosOf(message: DecodedMessage): string | null {
  const memos = message.instructions
    .filter(({ programIdIndex }) => memoPrograms.includes(message.staticKeys[programIdIndex] ?? ""))
    .map(({ data }) => `[${data.length}] ${memoText(data) ?? "(unprintable)"}`);
  return memos.length === 0 ? null : memos.join("; ");
}

import type { OutputChunk } from "@volley/sdk";

/** The most bytes that one chunk carries. */
export const chunkMaxBytes = 64 * 1024;

/** Bytes as the API takes them: as text where they are text that JSON does not blow up, else in base64. */
export function encodeData(data: Uint8Array): Pick<OutputChunk, "data" | "encoding"> {
  const base64 = () => ({ data: Buffer.from(data).toString("base64"), encoding: "base64" as const });
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(data);
  } catch (error) {
    if (error instanceof TypeError) {
      return base64();
    }
    throw error;
  }
  const escapedLength = Buffer.byteLength(JSON.stringify(text));
  // The database behind the API cannot store a null character in text.
  return text.includes("\0") || escapedLength > data.length * 1.3 + 16 ? base64() : { data: text, encoding: "utf-8" };
}

/** Pieces of at most {@link chunkMaxBytes}. */
export function splitData(data: Uint8Array): readonly Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let start = 0; start < data.length; start += chunkMaxBytes) {
    pieces.push(data.subarray(start, start + chunkMaxBytes));
  }
  return pieces;
}

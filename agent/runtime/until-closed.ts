import type { Readable } from "node:stream";

const closingCodes = new Set(["ERR_STREAM_PREMATURE_CLOSE", "ECONNRESET", "EPIPE", "ABORT_ERR"]);

/**
 * What a stream gives until it ends or is closed, by the other side or by ourselves. Engines and aborts close streams
 * without ending them; what that means is told by the exit code or the signal, not by the stream.
 */
export async function* untilClosed(stream: Readable): AsyncGenerator<Uint8Array> {
  try {
    for await (const piece of stream) {
      yield piece as Uint8Array;
    }
  } catch (error) {
    const code = error instanceof Error ? Reflect.get(error, "code") : undefined;
    if (!closingCodes.has(code)) {
      throw error;
    }
  }
}

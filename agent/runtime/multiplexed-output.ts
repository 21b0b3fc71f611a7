import type { OutputStream } from "./workload-runtime.ts";

/** One frame of the engine's multiplexed output. */
export interface OutputFrame {
  readonly stream: OutputStream;
  readonly data: Uint8Array;
}

const headerBytes = 8;
const maxFrameBytes = 64 * 1024 * 1024;

/**
 * Splits the engine's multiplexed stream: per frame one byte of stream type, three of padding, the length as a
 * big-endian 32-bit number, and the data (Docker Engine API, "Attach to a container"). Data is passed on as it arrives,
 * so a large frame may come in several pieces; `wholeFrames` waits for all of it.
 * @throws RangeError when the bytes are not such a stream.
 */
export async function* readOutputFrames(
  source: AsyncIterable<Uint8Array | string>,
  options: { readonly wholeFrames: boolean },
): AsyncGenerator<OutputFrame> {
  let pending = Buffer.alloc(0);
  let frame: { stream: OutputStream; left: number } | null = null;
  for await (const piece of source) {
    pending = Buffer.concat([pending, typeof piece === "string" ? Buffer.from(piece, "latin1") : piece]);
    while (pending.length > 0) {
      if (frame === null) {
        if (pending.length < headerBytes) {
          break;
        }
        frame = readHeader(pending);
        pending = pending.subarray(headerBytes);
      }
      if (options.wholeFrames && pending.length < frame.left) {
        break;
      }
      const data = pending.subarray(0, frame.left);
      pending = pending.subarray(data.length);
      const stream: OutputStream = frame.stream;
      frame = data.length === frame.left ? null : { stream, left: frame.left - data.length };
      if (data.length > 0) {
        yield { stream, data };
      }
    }
  }
}

function readHeader(bytes: Buffer): { stream: OutputStream; left: number } {
  const type = bytes.readUInt8(0);
  const left = bytes.readUInt32BE(4);
  if (type > 3 || left > maxFrameBytes) {
    throw new RangeError("the engine's output is not a multiplexed stream");
  }
  return { stream: type === 2 || type === 3 ? "stderr" : "stdout", left };
}

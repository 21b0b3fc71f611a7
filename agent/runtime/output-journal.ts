import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { readOutputFrames } from "./multiplexed-output.ts";
import type { LogChunk, OutputStream } from "./workload-runtime.ts";

/** A log of a fixed greatest size: files of frames, numbered upwards, of which the last two are kept. */
const fileMaxBytes = 8 * 1024 * 1024;
/** One frame travels as one chunk. */
const frameMaxBytes = 64 * 1024;
const headerBytes = 8;
const readBytes = 64 * 1024;

const fileName = (number: number) => `output.${number}.log`;

/** Appends frames to the log in a directory; a full file is followed by a new one, and the one before is dropped. */
export class OutputJournal {
  readonly #directory: string;
  #number = 0;
  #size = 0;
  #file: number;

  constructor(directory: string) {
    this.#directory = directory;
    this.#file = openSync(join(directory, fileName(0)), "a", 0o600);
  }

  append(stream: OutputStream, data: Uint8Array): void {
    for (let start = 0; start < data.length; start += frameMaxBytes) {
      this.#appendFrame(stream, data.subarray(start, start + frameMaxBytes));
    }
  }

  close(): void {
    closeSync(this.#file);
  }

  #appendFrame(stream: OutputStream, data: Uint8Array): void {
    if (this.#size > 0 && this.#size + headerBytes + data.length > fileMaxBytes) {
      this.#rotate();
    }
    const frame = Buffer.alloc(headerBytes + data.length);
    frame.writeUInt8(stream === "stdout" ? 1 : 2, 0);
    frame.writeUInt32BE(data.length, 4);
    frame.set(data, headerBytes);
    writeSync(this.#file, frame);
    this.#size += frame.length;
  }

  #rotate(): void {
    closeSync(this.#file);
    rmSync(join(this.#directory, fileName(this.#number - 1)), { force: true });
    this.#number += 1;
    this.#size = 0;
    this.#file = openSync(join(this.#directory, fileName(this.#number)), "a", 0o600);
  }
}

/**
 * What is in the log after `cursor` now, whole frames only. A cursor into a file that was dropped goes on with the
 * oldest that is left.
 */
export async function* readJournal(directory: string, cursor: string | null): AsyncGenerator<LogChunk> {
  const match = /^(\d{1,9}):(\d{1,15})$/.exec(cursor ?? "0:0");
  const start = { number: Number(match?.[1] ?? 0), offset: Number(match?.[2] ?? 0) };
  for (const number of await journalFiles(directory)) {
    if (number < start.number) {
      continue;
    }
    let offset = number === start.number ? start.offset : 0;
    for await (const frame of readOutputFrames(readFrom(join(directory, fileName(number)), offset), {
      wholeFrames: true,
    })) {
      offset += headerBytes + frame.data.length;
      yield { ...frame, cursor: `${number}:${offset}` };
    }
  }
}

async function* readFrom(path: string, offset: number): AsyncGenerator<Uint8Array> {
  const file = await open(path, "r");
  try {
    for (let position = offset; ; ) {
      const { bytesRead, buffer } = await file.read(Buffer.alloc(readBytes), 0, readBytes, position);
      if (bytesRead === 0) {
        return;
      }
      position += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

async function journalFiles(directory: string): Promise<readonly number[]> {
  const numbers = (await readdir(directory)).flatMap((name) => {
    const match = /^output\.(\d{1,9})\.log$/.exec(name);
    return match === null ? [] : [Number(match[1])];
  });
  return numbers.sort((left, right) => left - right);
}

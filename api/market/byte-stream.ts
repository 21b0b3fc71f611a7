/** Small binary forms: bytes, unsigned whole numbers in base 128 (LEB128), and length-prefixed UTF-8. */
import { Buffer } from "node:buffer";

export class ByteWriter {
  #buffer = Buffer.alloc(256);
  #length = 0;

  byte(value: number): void {
    this.#reserve(1);
    this.#buffer[this.#length++] = value;
  }

  bytes(values: Uint8Array): void {
    this.#reserve(values.length);
    this.#buffer.set(values, this.#length);
    this.#length += values.length;
  }

  /** @throws {RangeError} when the value is not a whole number that a double holds exactly */
  varint(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${value} is not an unsigned whole number`);
    let rest = value;
    while (rest >= 128) {
      this.byte((rest % 128) + 128);
      rest = Math.floor(rest / 128);
    }
    this.byte(rest);
  }

  text(value: string): void {
    const length = Buffer.byteLength(value);
    this.varint(length);
    this.#reserve(length);
    this.#length += this.#buffer.write(value, this.#length, "utf8");
  }

  finish(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#buffer.length) return;
    const longer = Buffer.alloc(Math.max(this.#length + more, this.#buffer.length * 2));
    longer.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = longer;
  }
}

/** @throws {RangeError} in every method, when the bytes end too early */
export class ByteReader {
  readonly #buffer: Buffer;
  #position = 0;

  constructor(bytes: Uint8Array) {
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  isAtEnd(): boolean {
    return this.#position >= this.#buffer.length;
  }

  byte(): number {
    return this.bytes(1)[0] as number;
  }

  bytes(length: number): Uint8Array {
    const end = this.#position + length;
    if (end > this.#buffer.length) throw new RangeError("the bytes end too early");
    const part = this.#buffer.subarray(this.#position, end);
    this.#position = end;
    return part;
  }

  varint(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.byte();
      value += (byte % 128) * factor;
      if (byte < 128) return value;
    }
  }

  text(): string {
    return Buffer.from(this.bytes(this.varint())).toString("utf8");
  }
}

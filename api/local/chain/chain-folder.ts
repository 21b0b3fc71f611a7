import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import type { ChainInput } from "./development-chain.ts";

const snapshotName = "chain.snapshot";
const journalPattern = /^chain\.journal\.\d+$/;
const headBytes = 8;
/** Repeating a transaction takes about a millisecond, and an empty slot about a microsecond. */
const maxTransactions = 2_000;
const maxSlots = 50_000;
const slotsKind = 1;
const transactionKind = 2;

export interface SavedChain {
  snapshot: Uint8Array;
  /** What happened after the snapshot, oldest first. */
  inputs: ChainInput[];
}

/**
 * Keeps a chain in a folder: a snapshot, replaced as a whole, and a journal of everything after it.
 *
 * The snapshot names its journal by number and a new snapshot begins a new journal, so there is no moment at which a
 * kill of the process loses a change or applies one twice. Writes reach the operating system before they return; a
 * power cut may cost the last moments, which the checksums then cut off.
 */
export class ChainFolder {
  readonly #path: string;
  #journal: number | null = null;
  #generation = 0;
  #slotsInJournal = 0;
  #transactionsInJournal = 0;

  constructor(path: string) {
    mkdirSync(path, { recursive: true });
    this.#path = path;
  }

  /** Whether the journal has grown so long that a start would take seconds to repeat it. */
  get needsSnapshot(): boolean {
    return this.#transactionsInJournal >= maxTransactions || this.#slotsInJournal >= maxSlots;
  }

  /** What the folder holds, or null for a new one. */
  load(): SavedChain | null {
    const file = join(this.#path, snapshotName);
    if (!existsSync(file)) return null;
    const bytes = readFileSync(file);
    const snapshot = Uint8Array.from(bytes.subarray(headBytes));
    if (bytes.length < headBytes || crc32(snapshot) !== bytes.readUInt32LE(4)) {
      throw new Error(`${file} is damaged; move it away to begin a new chain`);
    }
    this.#generation = bytes.readUInt32LE(0);
    const inputs = existsSync(this.#journalPath()) ? readJournal(readFileSync(this.#journalPath())) : [];
    return { snapshot, inputs };
  }

  append(input: ChainInput): void {
    if (this.#journal === null) throw new Error("The journal is not open; save a snapshot first");
    writeAll(this.#journal, encodeInput(input));
    if (input.kind === "transaction") this.#transactionsInJournal += 1;
    else this.#slotsInJournal += 1;
  }

  /** Replaces the snapshot and begins an empty journal. */
  save(snapshot: Uint8Array): void {
    const next = this.#generation + 1;
    const head = Buffer.alloc(headBytes);
    head.writeUInt32LE(next, 0);
    head.writeUInt32LE(crc32(snapshot), 4);
    const draft = join(this.#path, `${snapshotName}.draft`);
    const file = openSync(draft, "w");
    try {
      writeAll(file, head);
      writeAll(file, snapshot);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(draft, join(this.#path, snapshotName));
    this.#generation = next;
    this.#openJournal();
  }

  close(): void {
    if (this.#journal === null) return;
    closeSync(this.#journal);
    this.#journal = null;
  }

  #openJournal(): void {
    this.close();
    this.#journal = openSync(this.#journalPath(), "w");
    this.#slotsInJournal = 0;
    this.#transactionsInJournal = 0;
    for (const name of readdirSync(this.#path)) {
      const isOld = journalPattern.test(name) && join(this.#path, name) !== this.#journalPath();
      if (isOld) rmSync(join(this.#path, name));
    }
  }

  #journalPath(): string {
    return join(this.#path, `chain.journal.${this.#generation}`);
  }
}

function writeAll(file: number, bytes: Uint8Array): void {
  let written = 0;
  while (written < bytes.length) written += writeSync(file, bytes, written);
}

/** length, checksum of the body, body: its kind and its content. */
function encodeInput(input: ChainInput): Uint8Array {
  const body =
    input.kind === "transaction"
      ? Buffer.concat([Buffer.of(transactionKind), input.wire])
      : Buffer.alloc(13, slotsKind);
  if (input.kind === "slots") {
    body.writeUInt32LE(input.count, 1);
    body.writeDoubleLE(input.unixTimeMs, 5);
  }
  const head = Buffer.alloc(headBytes);
  head.writeUInt32LE(body.length, 0);
  head.writeUInt32LE(crc32(body), 4);
  return Buffer.concat([head, body]);
}

/** All whole entries from the start; a torn or damaged one ends the journal. */
function readJournal(journal: Buffer): ChainInput[] {
  const inputs: ChainInput[] = [];
  let offset = 0;
  while (offset + headBytes <= journal.length) {
    const end = offset + headBytes + journal.readUInt32LE(offset);
    const body = journal.subarray(offset + headBytes, end);
    if (end > journal.length || crc32(body) !== journal.readUInt32LE(offset + 4)) break;
    if (body[0] === transactionKind) {
      inputs.push({ kind: "transaction", wire: Uint8Array.from(body.subarray(1)) });
    } else {
      inputs.push({ kind: "slots", count: body.readUInt32LE(1), unixTimeMs: body.readDoubleLE(5) });
    }
    offset = end;
  }
  return inputs;
}

import { join } from "node:path";
import { NODE_CHANNELS, type NodeChannel } from "@volley/schema/node-signature";
import { readJsonFile, writeJsonFile } from "./json-file.ts";

const blockSize = 1_000;

/**
 * The counters of signed requests, one per channel. Each only grows, over restarts and crashes too: a block of numbers
 * is reserved on disk before the first of it is used. They begin at the time in milliseconds, so that they grow even
 * when the file was lost.
 */
export class Counters {
  readonly #path: string;
  readonly #nowMs: () => number;
  readonly #next: Record<NodeChannel, number>;
  #reserved: Record<NodeChannel, number>;

  constructor(directory: string, nowMs: () => number) {
    this.#path = join(directory, "counters.json");
    this.#nowMs = nowMs;
    const stored = readJsonFile<Partial<Record<NodeChannel, number>>>(this.#path) ?? {};
    const first = (channel: NodeChannel) => Math.max(stored[channel] ?? 0, nowMs());
    this.#next = forEachChannel(first);
    this.#reserved = { ...this.#next };
  }

  /** A number that was never given for this channel before. */
  take(channel: NodeChannel): number {
    const counter = this.#next[channel];
    if (counter >= this.#reserved[channel]) {
      this.#reserved = { ...this.#reserved, [channel]: counter + blockSize };
      writeJsonFile(this.#path, this.#reserved);
    }
    this.#next[channel] = counter + 1;
    return counter;
  }

  /** After the API has called a counter used: an older copy of the data directory may have been restored. */
  skipAhead(channel: NodeChannel): void {
    this.#next[channel] = Math.max(this.#next[channel] + blockSize, this.#nowMs());
  }
}

function forEachChannel(value: (channel: NodeChannel) => number): Record<NodeChannel, number> {
  return Object.fromEntries(NODE_CHANNELS.map((channel) => [channel, value(channel)])) as Record<NodeChannel, number>;
}

import { array, assert, asyncProperty, constantFrom, integer, oneof, record, string } from "fast-check";
import { describe, expect, test } from "vitest";
import { readServerSentEvents, type ServerSentEvent } from "../../sdk/server-sent-events.ts";
import { collect } from "./fake-api.ts";

async function* chunksOf(bytes: Uint8Array, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  let start = 0;
  for (let index = 0; start < bytes.length; index++) {
    const size = sizes[index % sizes.length] ?? bytes.length;
    yield bytes.subarray(start, start + size);
    start += size;
  }
}

async function read(text: string | Uint8Array, sizes: readonly number[] = [1_000_000]): Promise<ServerSentEvent[]> {
  const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
  return collect(readServerSentEvents(chunksOf(bytes, sizes)));
}

describe("the specification's rules", () => {
  test.each<[string, string, ServerSentEvent[]]>([
    ["one line of data", "data: a\n\n", [{ event: "message", data: "a", id: "" }]],
    ["several lines of data", "data: a\ndata:b\ndata\n\n", [{ event: "message", data: "a\nb\n", id: "" }]],
    ["only one space after the colon is dropped", "data:  a\n\n", [{ event: "message", data: " a", id: "" }]],
    ["comments", ": hi\n\ndata: a\n: there\n\n", [{ event: "message", data: "a", id: "" }]],
    ["type and id", "event: log\nid: 7\ndata: a\n\n", [{ event: "log", data: "a", id: "7" }]],
    [
      "the id stays, the type does not",
      "event: log\nid: 7\ndata: a\n\ndata: b\n\n",
      [
        { event: "log", data: "a", id: "7" },
        { event: "message", data: "b", id: "7" },
      ],
    ],
    [
      "an id without data counts for the next event",
      "id: 7\n\ndata: b\n\n",
      [{ event: "message", data: "b", id: "7" }],
    ],
    ["an empty id resets", "id: 7\ndata: a\nid\n\n", [{ event: "message", data: "a", id: "" }]],
    ["an id with NUL is ignored", "id: 7\nid: a\0b\ndata: a\n\n", [{ event: "message", data: "a", id: "7" }]],
    ["unknown fields are ignored", "color: red\ndata: a\n\n", [{ event: "message", data: "a", id: "" }]],
    ["an event without data is none", "event: log\n\ndata: a\n\n", [{ event: "message", data: "a", id: "" }]],
    ["a byte order mark is skipped", "\uFEFFdata: a\n\n", [{ event: "message", data: "a", id: "" }]],
    ["an event that the end cuts off is dropped", "data: a\n\ndata: b\n", [{ event: "message", data: "a", id: "" }]],
    ["CR and CRLF end lines too", "data: a\r\ndata: b\rdata: c\r\r\n", [{ event: "message", data: "a\nb\nc", id: "" }]],
  ])("%s", async (_, text, events) => {
    expect(await read(text)).toEqual(events);
    expect(await read(text, [1])).toEqual(events);
  });

  test("retry sets the delay, unless it isn't a whole number", async () => {
    const delays: number[] = [];
    const bytes = new TextEncoder().encode("retry: 250\nretry: 1.5\nretry: x\ndata: a\n\n");
    await collect(readServerSentEvents(chunksOf(bytes, [3]), { onRetry: (delayMs) => delays.push(delayMs) }));
    expect(delays).toEqual([250]);
  });
});

test("an event ended by CR comes at once, without waiting for a line feed that may never come", async () => {
  async function* bytes(): AsyncGenerator<Uint8Array> {
    yield new TextEncoder().encode("data: a\r\r");
    await new Promise(() => undefined);
  }
  const events = readServerSentEvents(bytes());
  expect((await events.next()).value).toMatchObject({ data: "a" });
});

const line = oneof(
  record({
    field: constantFrom("data", "event", "id", "retry", ""),
    value: string({ unit: "grapheme", maxLength: 12 }),
  }).map(({ field, value }) => `${field}:${value.replace(/[\r\n]/g, "")}`),
  constantFrom("", "", "data", "id", "event: ß→🚀", "data: 🚀\u2028", ": 💡"),
);

test("however the bytes are cut and whichever line ends are used, the events are the same", async () => {
  await assert(
    asyncProperty(
      array(line, { maxLength: 40 }),
      array(integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 20 }),
      array(constantFrom("\n", "\r", "\r\n"), { minLength: 1, maxLength: 7 }),
      async (lines, sizes, ends) => {
        const whole = await read(`${lines.join("\n")}\n\n`);
        // A CR before a blank line that LF ends would read as one CRLF: end such pairs alike.
        const mixed = [...lines, ""].reduce((text, part, index) => {
          const end = ends[index % ends.length] ?? "\n";
          return text.endsWith("\r") && part === "" && end === "\n" ? `${text}\r` : `${text}${part}${end}`;
        }, "");
        expect(await read(mixed, sizes)).toEqual(whole);
      },
    ),
    { numRuns: 500 },
  );
});

test("an event that never ends is refused instead of filling the memory", async () => {
  async function* endless(part: string): AsyncGenerator<Uint8Array> {
    for (;;) yield new TextEncoder().encode(part);
  }
  for (const part of ["x".repeat(1000), `data: ${"x".repeat(1000)}\n`]) {
    const events = readServerSentEvents(endless(part), { charactersMax: 10_000 });
    await expect(events.next()).rejects.toThrow("10000 characters");
  }
});

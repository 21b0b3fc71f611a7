import type { Readable } from "node:stream";
import type { OutputFrame } from "./multiplexed-output.ts";
import { untilClosed } from "./until-closed.ts";

/** Both outputs of a process in the order in which they come; neither is read faster than the result is. */
export async function* mergeOutput(stdout: Readable, stderr: Readable): AsyncGenerator<OutputFrame> {
  const sources = [
    { stream: "stdout", iterator: untilClosed(stdout) },
    { stream: "stderr", iterator: untilClosed(stderr) },
  ] as const;
  const pull = async (source: (typeof sources)[number]) => ({ source, result: await source.iterator.next() });
  const pending = new Map(sources.map((source) => [source, pull(source)]));
  while (pending.size > 0) {
    const { source, result } = await Promise.race(pending.values());
    if (result.done) {
      pending.delete(source);
    } else {
      pending.set(source, pull(source));
      yield { stream: source.stream, data: result.value };
    }
  }
}

import { expect, it } from "vitest";
import { defaultImage, newEnsureImage } from "../../agent/runtime/base-image.ts";
import { engineThatAnswers } from "./fake-engine.ts";

/** Answers like Podman while another process writes an image: it fails to read it for a while. */
function engineThatFails(times: number) {
  let failuresLeft = times;
  return engineThatAnswers((_, response) => {
    response.statusCode = failuresLeft > 0 ? 500 : 200;
    failuresLeft -= 1;
    response.end(JSON.stringify(response.statusCode === 500 ? { message: 'locating item named "manifest"' } : {}));
  });
}

/** Has every image but those of one registry, from which nothing ever comes. */
async function engineThatWaits(registry: string) {
  const asked = Promise.withResolvers<void>();
  const engine = await engineThatAnswers((request, response) => {
    if (request.method === "POST") {
      asked.resolve();
    } else {
      response.statusCode = request.url?.includes(registry) ? 404 : 200;
      response.end("{}");
    }
  });
  return { engine, asked: asked.promise };
}

it("waits for an image that another process is just writing", async () => {
  const ensureImage = newEnsureImage(await engineThatFails(2), () => undefined);
  expect(await ensureImage("example.org/trainer:1")).toBe("example.org/trainer:1");
});

it("a registry that does not answer holds up no other image", async () => {
  const { engine, asked } = await engineThatWaits("silent.example.org");
  const ensureImage = newEnsureImage(engine, () => undefined);
  const lease = new AbortController();
  const silent = ensureImage("silent.example.org/trainer:1", lease.signal);
  silent.catch(() => undefined);
  await asked;
  expect(await ensureImage(null)).toBe(defaultImage);
  expect(await ensureImage("example.org/trainer:1")).toBe("example.org/trainer:1");
  lease.abort(new Error("the lease has ended"));
  await expect(silent).rejects.toThrow("the lease has ended");
});

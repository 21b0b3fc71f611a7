import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { defaultImage, newEnsureImage } from "../../agent/runtime/base-image.ts";
import { connectEngine } from "../../agent/runtime/engine-connection.ts";

/** An engine of which only what it answers about images matters. */
async function engineThatAnswers(listener: RequestListener) {
  const server = createServer((request, response) => {
    response.setHeader("content-type", "application/json");
    if (request.url === "/version") {
      response.end(JSON.stringify({ Version: "4.3.1", Components: [{ Name: "Podman Engine", Version: "4.3.1" }] }));
    } else {
      listener(request, response);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    return new Promise<void>((resolve) => server.close(() => resolve()));
  });
  const engine = await connectEngine(`tcp://127.0.0.1:${(server.address() as AddressInfo).port}`);
  if (engine === null) {
    throw new Error("the engine of this test does not answer");
  }
  return engine;
}

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

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { newEnsureImage } from "../../agent/runtime/base-image.ts";
import { connectEngine } from "../../agent/runtime/engine-connection.ts";

/** Answers like Podman while another process writes an image: it fails to read it for a while. */
async function engineThatFails(times: number) {
  let failuresLeft = times;
  const server = createServer((request, response) => {
    response.setHeader("content-type", "application/json");
    if (request.url === "/version") {
      response.end(JSON.stringify({ Version: "4.3.1", Components: [{ Name: "Podman Engine", Version: "4.3.1" }] }));
      return;
    }
    response.statusCode = failuresLeft > 0 ? 500 : 200;
    failuresLeft -= 1;
    response.end(JSON.stringify(response.statusCode === 500 ? { message: 'locating item named "manifest"' } : {}));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => new Promise<void>((resolve) => server.close(() => resolve())));
  const engine = await connectEngine(`tcp://127.0.0.1:${(server.address() as AddressInfo).port}`);
  if (engine === null) {
    throw new Error("the engine of this test does not answer");
  }
  return engine;
}

it("waits for an image that another process is just writing", async () => {
  const ensureImage = newEnsureImage(await engineThatFails(2), () => undefined);
  expect(await ensureImage("example.org/trainer:1")).toBe("example.org/trainer:1");
});

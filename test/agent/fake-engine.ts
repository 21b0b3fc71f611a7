import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";
import { connectEngine, type EngineConnection } from "../../agent/runtime/engine-connection.ts";

/** An engine that says that it is Podman; what it answers else is for the test to say. */
export async function engineThatAnswers(listener: RequestListener): Promise<EngineConnection> {
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

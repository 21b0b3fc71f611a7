import { expect, it } from "vitest";
import { execInContainer } from "../../agent/runtime/container-exec.ts";
import { engineThatAnswers } from "./fake-engine.ts";
import { collect, execRequest } from "./workloads.ts";

it.each(["/containers/volley-ls_a/exec", "/exec/stuck/start"])(
  "a command ends when it is aborted although the engine never answers %s",
  async (silentPath) => {
    const asked = Promise.withResolvers<void>();
    let isAborted = false;
    const engine = await engineThatAnswers((request, response) => {
      const path = request.url?.split("?")[0];
      if (path === silentPath && !isAborted) {
        asked.resolve();
      } else if (request.method === "GET") {
        // Nothing runs any more when it is asked again.
        response.end(JSON.stringify({ State: { Running: !isAborted } }));
      } else {
        response.statusCode = isAborted ? 409 : 201;
        response.end(JSON.stringify({ Id: "stuck" }));
      }
    });
    const abort = new AbortController();
    const running = collect(execInContainer(engine, "volley-ls_a", execRequest(["true"], { signal: abort.signal })));
    running.catch(() => undefined);
    await asked.promise;
    isAborted = true;
    abort.abort(new Error("the lease has ended"));
    await expect(running).rejects.toThrow("the lease has ended");
  },
);

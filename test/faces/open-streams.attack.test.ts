import { expect, test } from "vitest";
import { CLUSTER_ID, fakeApp } from "./fake-app.ts";

test("one caller can't hold streams open without end", async () => {
  let open = 0;
  const wait = (signal: AbortSignal) =>
    new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
  const { app } = fakeApp({
    verbs: {
      // biome-ignore lint/correctness/useYield: silent, as most streams are most of the time
      "clusters.events": async function* (ctx) {
        open++;
        await wait(ctx.signal);
        open--;
      },
    },
  });
  const url = `/v1/clusters/${CLUSTER_ID}/events`;
  const graphql = {
    method: "POST",
    headers: { "content-type": "application/json", accept: "text/event-stream" },
    body: JSON.stringify({ query: `subscription { clusterEvents(id: "${CLUSTER_ID}") { id } }` }),
  };
  const gone = new AbortController();
  const answers = await Promise.all(
    Array.from({ length: 600 }, (_, number) =>
      number % 2 === 0
        ? app.request(url, { signal: gone.signal })
        : app.request("/graphql", { ...graphql, signal: gone.signal }),
    ),
  );
  const refused = answers.filter((answer) => answer.status === 429);
  expect(open).toBeLessThanOrEqual(256);
  expect(refused.length).toBeGreaterThanOrEqual(600 - 256);
  expect(await refused[0]?.json()).toMatchObject({ code: "rate_limited" });

  gone.abort();
  await expect.poll(() => open).toBe(0);
  expect((await app.request(url)).status).toBe(200);
});

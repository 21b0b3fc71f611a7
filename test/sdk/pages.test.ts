import { describe, expect, test } from "vitest";
import { Volley } from "../../sdk/index.ts";
import { BASE_URL, fakeApi, json } from "./fake-api.ts";

const page = (gpus: string[], nextCursor: string | null) =>
  json({ data: gpus.map((gpu) => ({ object: "gpu", gpu, vram_gib: 80 })), next_cursor: nextCursor });

function listOf(...answers: Parameters<typeof fakeApi>) {
  const api = fakeApi(...answers);
  return { api, volley: new Volley({ baseUrl: BASE_URL, fetch: api.fetch }) };
}

describe("a list", () => {
  test("is iterated through all its pages, with the same filters", async () => {
    const { api, volley } = listOf(page(["a", "b"], "c1"), page([], "c2"), page(["c"], null));
    const names: string[] = [];
    for await (const gpu of volley.gpus.list({ limit: 2 })) names.push(gpu.gpu);
    expect(names).toEqual(["a", "b", "c"]);
    expect(api.seen.map(({ path }) => path)).toEqual([
      "/v1/gpus?limit=2",
      "/v1/gpus?limit=2&cursor=c1",
      "/v1/gpus?limit=2&cursor=c2",
    ]);
  });

  test("is read no further than the loop goes", async () => {
    const { api, volley } = listOf(page(["a", "b"], "c1"));
    for await (const gpu of volley.gpus.list()) if (gpu.gpu === "b") break;
    expect(api.seen).toHaveLength(1);
  });

  test("can be collected up to a limit", async () => {
    const { api, volley } = listOf(page(["a", "b"], "c1"), page(["c", "d"], "c2"));
    const gpus = await volley.gpus.list().toArray({ limit: 3 });
    expect(gpus.map(({ gpu }) => gpu)).toEqual(["a", "b", "c"]);
    expect(api.seen).toHaveLength(2);
    const exact = listOf(page(["a", "b"], "c1"));
    expect(await exact.volley.gpus.list().toArray({ limit: 2 })).toHaveLength(2);
    expect(exact.api.seen).toHaveLength(1);
  });

  test("gives its pages one by one when awaited", async () => {
    const { volley } = listOf(page(["a"], "c1"), page(["b"], null));
    const first = await volley.gpus.list();
    expect(first.data.map(({ vramGib }) => vramGib)).toEqual([80]);
    const second = await first.next();
    expect(second?.data[0]?.gpu).toBe("b");
    expect(await second?.next()).toBeNull();
  });

  test("that turns in a circle ends with an error", async () => {
    const { volley } = listOf(page(["a"], "c1"), page(["b"], "c1"));
    await expect(volley.gpus.list().toArray({ limit: 100 })).rejects.toThrow("same cursor twice");
  });
});

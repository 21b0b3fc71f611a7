/** How params become requests, and answers become objects. */
import { afterEach, describe, expect, test, vi } from "vitest";
import { Volley } from "../../sdk/index.ts";
import { BASE_URL, cluster, fakeApi, json } from "./fake-api.ts";

function clientOf(...answers: Parameters<typeof fakeApi>) {
  const api = fakeApi(...answers);
  return { api, volley: new Volley({ baseUrl: BASE_URL, fetch: api.fetch }) };
}

describe("params", () => {
  test("travel in snake_case, while the caller's own keys are left alone", async () => {
    const { api, volley } = clientOf(
      json(cluster({ metadata: { team_name: "a", teamName: "b" }, client_reference: "r" })),
    );
    const { data } = await volley.clusters.reserve({
      quoteToken: "t",
      metadata: { team_name: "a", teamName: "b" },
      env: { CUDA_VISIBLE_DEVICES: "0", aB_c: "1" },
      clientReference: "r",
    });
    expect(api.seen[0]?.body).toEqual({
      quote_token: "t",
      metadata: { team_name: "a", teamName: "b" },
      env: { CUDA_VISIBLE_DEVICES: "0", aB_c: "1" },
      client_reference: "r",
    });
    expect(data.metadata).toEqual({ team_name: "a", teamName: "b" });
    expect(data.clientReference).toBe("r");
  });

  test("that are time spans take text or seconds, never both", async () => {
    const { api, volley } = clientOf(json({}), json({}), json({}));
    await volley.quotes.create({ gpu: "cpu", duration: "2h30m" });
    await volley.quotes.create({ gpu: "cpu", duration: 60 });
    await volley.quotes.create({ gpu: "cpu", durationSeconds: 61 });
    expect(api.seen.map(({ body }) => body)).toEqual([
      { gpu: "cpu", duration_seconds: 9000 },
      { gpu: "cpu", duration_seconds: 60 },
      { gpu: "cpu", duration_seconds: 61 },
    ]);
    // @ts-expect-error the two exclude each other
    await expect(volley.quotes.create({ gpu: "cpu", duration: "1h", durationSeconds: 1 })).rejects.toThrow("not both");
    await expect(volley.quotes.create({ gpu: "cpu", duration: "soon" })).rejects.toThrow("no time span");
    expect(api.seen).toHaveLength(3);
  });

  test("of a reading call go into the query, lists with commas, absent ones not at all", async () => {
    const { api, volley } = clientOf(json({ data: [], next_cursor: null }));
    await volley.offers.list({ countries: ["DE", "FR"], minReliability: 0.9, gpu: undefined });
    expect(api.seen[0]?.path).toBe("/v1/offers?countries=DE%2CFR&min_reliability=0.9");
  });

  test("of the path are escaped, and can't leave their place", async () => {
    const { api, volley } = clientOf(json({}));
    await volley.quotes.get("a/b?c#d..");
    expect(api.seen[0]?.path).toBe("/v1/quotes/a%2Fb%3Fc%23d..");
    for (const id of ["", ".", ".."]) await expect(volley.payments.get(id)).rejects.toThrow(TypeError);
    // @ts-expect-error an id is text
    await expect(volley.payments.get(undefined)).rejects.toThrow("must be a non-empty string");
  });
});

describe("the credential", () => {
  test("is the key, the secret, or that of the call", async () => {
    const api = fakeApi(json({}), json({}), json({}), json({}));
    const volley = new Volley({ baseUrl: BASE_URL, fetch: api.fetch, apiKey: "vly_key" });
    await volley.payments.get("pay_1");
    await volley.payments.get("pay_1", { secret: "s1" });
    await volley.withOptions({ secret: "s2" }).payments.get("pay_1");
    await new Volley({ baseUrl: BASE_URL, fetch: api.fetch }).payments.get("pay_1");
    expect(api.seen.map(({ headers }) => headers.get("authorization"))).toEqual([
      "Bearer vly_key",
      "Bearer s1",
      "Bearer s2",
      null,
    ]);
  });
});

describe("the base URL", () => {
  afterEach(() => {
    vi.unstubAllEnvs();
  });

  async function urlOf(baseUrl?: string): Promise<string> {
    const urls: string[] = [];
    const fetchOne = async (url: unknown) => {
      urls.push(String(url));
      return Response.json({});
    };
    await new Volley({ baseUrl, fetch: fetchOne as typeof fetch }).network.get();
    return urls[0] ?? "";
  }

  test("comes from the option, else from the environment, else is this machine", async () => {
    vi.stubEnv("VOLLEY_API_URL", "http://volley.env:1");
    expect(await urlOf("http://volley.option/")).toBe("http://volley.option/v1/network");
    expect(await urlOf()).toBe("http://volley.env:1/v1/network");
    vi.stubEnv("VOLLEY_API_URL", undefined);
    expect(await urlOf()).toBe("http://127.0.0.1:8787/v1/network");
  });
});

describe("a log", () => {
  test("shows what happened and nothing that opens a door", async () => {
    const lines: string[] = [];
    const write = (message: string, details: unknown) => lines.push(`${message} ${JSON.stringify(details)}`);
    const api = fakeApi(
      json(cluster({ secret: "the-secret" })),
      json({}),
      json({}),
      () => new Response("{}", { status: 404 }),
    );
    const volley = new Volley({
      baseUrl: BASE_URL,
      fetch: api.fetch,
      apiKey: "the-key",
      logger: { debug: write, warn: write },
    });
    await volley.clusters.reserve({ quoteToken: "the-token", env: { PASSWORD: "the-password" }, name: "visible" });
    await volley.quotes.get("the-token");
    await volley.nodes.enrol(
      {
        enrolmentToken: "the-enrolment-token",
        publicKey: "k",
        inventory: { gpu: "cpu", gpus: 1, cpuModel: "", cpuCores: 1, memoryGib: 1, diskGib: 1, os: "", arch: "" },
        pricePerGpuHour: "1",
        country: "DE",
        region: "r",
        latitude: 0,
        longitude: 0,
        isolation: "process",
      },
      { headers: { "volley-node-signature": "the-signature", cookie: "the-cookie" } },
    );
    await expect(volley.clusters.get("cl_1", { secret: "the-cluster-secret" })).rejects.toThrow();
    const log = lines.join("\n");
    expect(log).toContain("visible");
    expect(log).toContain("/v1/clusters/cl_1");
    expect(log).toContain("404");
    expect(log).not.toMatch(/the-[a-z]/);
  });
});

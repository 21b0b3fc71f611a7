import { inspect } from "node:util";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import {
  ClusterEndedError,
  CommandFailedError,
  type Pay,
  type Payment,
  PaymentFailedError,
  Volley,
  WaitTimeoutError,
} from "../../sdk/index.ts";
import {
  BASE_URL,
  cluster,
  collect,
  connectionFailure,
  fakeApi,
  json,
  output,
  problem,
  sse,
  streamOf,
} from "./fake-api.ts";

type Answers = Parameters<typeof fakeApi>;

const reserved = json(cluster({ status: "awaiting_payment", secret: "the-secret" }), { status: 201 });
const stopped = json(cluster({ status: "stopped" }));

function clientOf(...answers: Answers) {
  const api = fakeApi(...answers);
  return { api, clusters: new Volley({ baseUrl: BASE_URL, fetch: api.fetch }).clusters };
}

async function handleOf(...answers: Answers) {
  const { api, clusters } = clientOf(reserved, ...answers);
  return { api, handle: await clusters.reserve({ quoteToken: "t" }) };
}

const asked = (api: { seen: readonly { method: string; path: string }[] }) =>
  api.seen.map(({ method, path }) => `${method} ${path}`);

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  vi.setTimerTickMode("nextTimerAsync");
});
afterEach(() => {
  vi.useRealTimers();
});

describe("reserving", () => {
  const quote = { token: "t", total: { amount: "1.000000", currency: "USDC" } } as never;

  test("pays what the quote said, and takes the payer's address for refunds", async () => {
    const { api, clusters } = clientOf(reserved);
    const paid: Payment[] = [];
    const pay: Pay = Object.assign(async (payment: Payment) => paid.push(payment), { refundAddress: "payer" });
    const handle = await clusters.reserve({ quote, pay, name: "n" });
    expect(paid[0]?.solanaPay?.url).toBe("solana:x");
    expect(api.seen[0]?.body).toEqual({ quote_token: "t", refund_address: "payer", name: "n" });
    expect(handle.id).toBe("cl_1");
  });

  test("leaves the rest as credit when the refund address is null, and takes the one given otherwise", async () => {
    const { api, clusters } = clientOf(reserved, reserved);
    const pay: Pay = Object.assign(async () => undefined, { refundAddress: "payer" });
    await clusters.reserve({ quote, pay, refundAddress: null });
    await clusters.reserve({ quote, pay, refundAddress: "mine" });
    expect(api.seen.map(({ body }) => body)).toEqual([
      { quote_token: "t" },
      { quote_token: "t", refund_address: "mine" },
    ]);
  });

  test("tears the cluster down when paying fails, before the error is thrown", async () => {
    const { api, clusters } = clientOf(reserved, stopped);
    const pay: Pay = () => Promise.reject(new Error("no funds"));
    const error = await clusters.reserve({ quote, pay }).catch((failure: unknown) => failure);
    expect(error).toBeInstanceOf(PaymentFailedError);
    expect(error).toMatchObject({ cause: { message: "no funds" }, teardownError: null });
    expect((error as PaymentFailedError).cluster.secret).toBe("the-secret");
    expect(asked(api)).toEqual(["POST /v1/clusters", "DELETE /v1/clusters/cl_1"]);
    expect(api.seen[1]?.headers.get("authorization")).toBe("Bearer the-secret");
  });

  test("tears down even when the signal that ended paying has fired", async () => {
    const { api, clusters } = clientOf(reserved, stopped);
    const controller = new AbortController();
    const pay: Pay = async (_, { signal }) => {
      controller.abort();
      signal?.throwIfAborted();
    };
    const reserving = clusters.reserve({ quote, pay }, { signal: controller.signal });
    await expect(reserving).rejects.toBeInstanceOf(PaymentFailedError);
    expect(api.seen).toHaveLength(2);
  });

  test("says so when the teardown fails as well", async () => {
    const { clusters } = clientOf(reserved, problem(400, "invalid_field"));
    const pay: Pay = () => Promise.reject(new Error("no funds"));
    await expect(clusters.reserve({ quote, pay })).rejects.toMatchObject({
      message: expect.stringContaining("tearing it down failed as well"),
      cause: { message: "no funds" },
      teardownError: { code: "invalid_field" },
    });
  });

  test("pays nothing when the payment asks for another sum than the quote", async () => {
    const { clusters } = clientOf(reserved, stopped);
    const pay = vi.fn(async () => undefined);
    const dearer = { token: "t", total: { amount: "0.900000", currency: "USDC" } } as never;
    await expect(clusters.reserve({ quote: dearer, pay })).rejects.toThrow("the quote was 0.900000");
    expect(pay).not.toHaveBeenCalled();
  });
});

describe("await using", () => {
  test("tears the cluster down when the block throws, and the error comes through", async () => {
    const { api, clusters } = clientOf(reserved, stopped);
    const use = async () => {
      await using handle = await clusters.reserve({ quoteToken: "t" });
      throw new Error(`the work on ${handle.id} failed`);
    };
    await expect(use()).rejects.toThrow("the work on cl_1 failed");
    expect(asked(api)).toEqual(["POST /v1/clusters", "DELETE /v1/clusters/cl_1"]);
  });

  test("asks nothing of a cluster that is known to have ended", async () => {
    const { api, clusters } = clientOf(reserved, stopped);
    const use = async () => {
      await using handle = await clusters.reserve({ quoteToken: "t" });
      await handle.teardown();
    };
    await use();
    expect(api.seen).toHaveLength(2);
  });

  test("holds on when the network is bad", async () => {
    const { api, clusters } = clientOf(reserved, ...Array.from({ length: 6 }, () => connectionFailure()), stopped);
    const use = async () => {
      await using _ = await clusters.reserve({ quoteToken: "t" });
    };
    await use();
    expect(api.seen).toHaveLength(8);
    expect(new Set(api.seen.slice(1).map(({ headers }) => headers.get("idempotency-key"))).size).toBe(1);
  });
});

describe("tearing down", () => {
  test("a cluster that has ended is a success", async () => {
    const { handle } = await handleOf(problem(409, "cluster_ended"), stopped);
    expect((await handle.teardown()).status).toBe("stopped");
  });

  test("a cluster that can't be torn down is none", async () => {
    const { handle } = await handleOf(problem(404, "not_found"));
    await expect(handle.teardown()).rejects.toMatchObject({ code: "not_found" });
  });
});

describe("the secret", () => {
  test("opens the cluster and shows nowhere", async () => {
    const { api, handle } = await handleOf(stopped);
    expect(handle.secret).toBe("the-secret");
    const shown = [JSON.stringify(handle), JSON.stringify(handle.data), inspect(handle, { depth: 9 })];
    expect(shown.join("")).not.toContain("the-secret");
    await handle.refresh();
    expect(api.seen[1]?.headers.get("authorization")).toBe("Bearer the-secret");
  });

  test("attaches to a cluster later", async () => {
    const { api, clusters } = clientOf(json(cluster()), stopped);
    const handle = await clusters.attach("cl_1", "kept");
    await handle.teardown();
    expect(api.seen.map(({ headers }) => headers.get("authorization"))).toEqual(["Bearer kept", "Bearer kept"]);
  });
});

describe("waiting", () => {
  test("for ready asks until the cluster runs", async () => {
    const starting = json(cluster({ status: "provisioning" }));
    const { handle } = await handleOf(starting, starting, json(cluster({ status: "running" })));
    expect((await handle.ready()).status).toBe("running");
    expect(handle.data.status).toBe("running");
  });

  test.each(["failed", "expired", "stopping", "stopped"])("for ready ends when the cluster is %s", async (status) => {
    const nodes = [
      { rank: 0, reason: null },
      { rank: 1, reason: "The image could not be pulled." },
    ];
    const { handle } = await handleOf(json(cluster({ status, status_reason: "gang_failed", nodes })));
    const error = await handle.ready().catch((failure: unknown) => failure);
    expect(error).toBeInstanceOf(ClusterEndedError);
    expect(String(error)).toContain("gang_failed");
    expect(String(error)).toContain("rank 1: The image could not be pulled.");
  });

  test("for ready ends after its time limit", async () => {
    const { handle } = await handleOf(...Array.from({ length: 20 }, () => json(cluster({ status: "provisioning" }))));
    await expect(handle.ready({ timeout: "2s" })).rejects.toBeInstanceOf(WaitTimeoutError);
  });

  test("for the money's way back ends with the refund's signature", async () => {
    const bill = (signature: string | null, amount = "0.500000") => ({
      refund: { status: signature === null ? "pending" : "sent", signature, amount: { amount } },
    });
    const { handle } = await handleOf(
      json(cluster({ status: "stopping" })),
      json(cluster({ status: "stopped", bill: bill(null) })),
      json(cluster({ status: "stopped", bill: bill("sig") })),
    );
    expect((await handle.settled()).bill?.refund.signature).toBe("sig");
    const nothing = await handleOf(json(cluster({ status: "stopped", bill: bill(null, "0.000000") })));
    expect((await nothing.handle.settled()).status).toBe("stopped");
  });
});

describe("running a command", () => {
  test("hands out whole lines per rank and stream, and the last one without its end", async () => {
    const { handle } = await handleOf(
      streamOf([
        output("1", 0, "stdout", "one\ntw"),
        output("2", 1, "stdout", "other\n"),
        output("3", 0, "stderr", "oops\n"),
        output("4", 0, "stdout", "o\nthree"),
        output("5", 0, "exit", null, 0),
        output("6", 1, "exit", null, 0),
      ]),
    );
    const lines = await collect(handle.run("x"));
    expect(lines.map(({ rank, stream, text }) => `${rank} ${stream} ${JSON.stringify(text)}`)).toEqual([
      '0 stdout "one\\n"',
      '1 stdout "other\\n"',
      '0 stderr "oops\\n"',
      '0 stdout "two\\n"',
      '0 stdout "three"',
    ]);
  });

  test("joins characters whose bytes come in two pieces", async () => {
    const bytes = new TextEncoder().encode("aß\n");
    const piece = (id: string, part: Uint8Array) =>
      sse(id, "stdout", {
        type: "stdout",
        rank: 0,
        encoding: "base64",
        code: null,
        reason: null,
        data: btoa(String.fromCharCode(...part)),
      });
    const { handle } = await handleOf(
      streamOf([piece("1", bytes.subarray(0, 2)), piece("2", bytes.subarray(2)), output("3", 0, "exit", null, 0)]),
    );
    expect(await collect(handle.run("x", { rank: 0 }))).toEqual([{ rank: 0, stream: "stdout", text: "aß\n" }]);
  });

  test("hands out an endless line in parts", async () => {
    const piece = "x".repeat(40_000);
    const { handle } = await handleOf(
      streamOf([...["1", "2", "3"].map((id) => output(id, 0, "stdout", piece)), output("4", 0, "exit", null, 0)]),
    );
    const lines = await collect(handle.run("x", { rank: 0 }));
    expect(lines.map(({ text }) => text.length)).toEqual([80_000, 40_000]);
  });

  test("ends with an error that has every exit code when a rank fails", async () => {
    const { handle } = await handleOf(
      streamOf([output("1", 1, "exit", null, 7), output("2", 0, "stdout", "done\n"), output("3", 0, "exit", null, 0)]),
    );
    const lines: string[] = [];
    const running = (async () => {
      for await (const { text } of handle.run(["x", "y"])) lines.push(text);
    })();
    const error = await running.catch((failure: unknown) => failure);
    expect(lines).toEqual(["done\n"]);
    expect(error).toBeInstanceOf(CommandFailedError);
    expect(error).toMatchObject({
      message: "The command failed on rank 1 (exit code 7).",
      exits: [
        { rank: 0, code: 0 },
        { rank: 1, code: 7 },
      ],
    });
  });

  test("counts a rank without a regular end as failed", async () => {
    const lost = sse("1", "exit", {
      type: "exit",
      rank: 0,
      data: null,
      encoding: "utf-8",
      code: null,
      reason: "The machine is gone.",
    });
    const { handle } = await handleOf(streamOf([lost]));
    await expect(collect(handle.run("x", { rank: 0 }))).rejects.toThrow("rank 0 (The machine is gone.)");
  });

  test("passes on what it is given", async () => {
    const { api, handle } = await handleOf(streamOf([output("1", 1, "exit", null, 0)]));
    await collect(handle.run(["a", "b"], { rank: 1, stdin: "in", env: { A_b: "1" }, timeout: "2m" }));
    expect(api.seen[1]?.body).toEqual({
      command: ["a", "b"],
      rank: 1,
      stdin: "in",
      env: { A_b: "1" },
      timeout_seconds: 120,
    });
  });

  test("collects the result up to a limit, codes included", async () => {
    const answers = () =>
      streamOf([
        output("1", 0, "stdout", "ab"),
        output("2", 1, "stderr", "cd"),
        output("3", 0, "stdout", "ef"),
        output("4", 1, "exit", null, 2),
        output("5", 0, "exit", null, 0),
      ]);
    const { handle } = await handleOf(answers(), answers());
    expect(await handle.exec("x").result()).toEqual({
      ranks: [
        { rank: 0, code: 0, reason: null, stdout: "abef", stderr: "" },
        { rank: 1, code: 2, reason: null, stdout: "", stderr: "cd" },
      ],
      isTruncated: false,
    });
    const short = await handle.exec("x").result({ bytesMax: 4 });
    expect(short.isTruncated).toBe(true);
    expect(short.ranks.map(({ stdout, stderr }) => stdout + stderr)).toEqual(["ab", "cd"]);
  });
});

describe("extending", () => {
  const extension = (payment: unknown) => json({ object: "cluster_extension", total: {}, payment });

  test("pays for it, unless nothing is due", async () => {
    const { api, handle } = await handleOf(extension({ id: "pay_2" }), extension(null));
    const pay = vi.fn(async () => undefined);
    await handle.extend({ duration: "1h", pay });
    expect(pay).toHaveBeenCalledExactlyOnceWith({ id: "pay_2" }, { signal: undefined });
    await handle.extend({ durationSeconds: 60, dryRun: true, pay });
    expect(pay).toHaveBeenCalledTimes(1);
    expect(api.seen.slice(1).map(({ body }) => body)).toEqual([
      { duration_seconds: 3600 },
      { duration_seconds: 60, dry_run: true },
    ]);
  });

  test("pays nothing where the account's balance has paid it already", async () => {
    const { handle } = await handleOf(extension({ id: "pay_2", rail: "balance", status: "settled" }));
    const pay = vi.fn(async () => undefined);
    await handle.extend({ duration: "1h", pay });
    expect(pay).not.toHaveBeenCalled();
  });
});

import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { OPERATIONS } from "@volley/schema/operations/index";
import { describe, expect, test } from "vitest";
import { EXIT } from "../../sdk/cli/exit-codes.ts";
import { OPERATION_COMMANDS } from "../../sdk/cli/operation-commands.ts";
import {
  cluster,
  connectionFailure,
  fakeApi,
  json,
  output,
  problem,
  type SeenRequest,
  streamOf,
} from "../sdk/fake-api.ts";
import { homeFolder, volley } from "./terminal.ts";

const money = (amount: string) => ({ amount, currency: "USDC" });
const quote = {
  id: "qt_1",
  object: "quote",
  token: "token-1",
  expires_at: "2026-01-01T00:10:00Z",
  gpu: "h100-sxm-80gb",
  nodes: 2,
  gpus_per_node: 8,
  duration_seconds: 3600,
  price_per_gpu_hour: money("2.000000"),
  lines: [{ kind: "compute", description: "Compute", amount: money("1.000000") }],
  total: money("1.000000"),
  plan: [],
  alternatives: [],
};
const payment = (over: Record<string, unknown> = {}) => ({
  id: "pay_1",
  object: "payment",
  rail: "solana_pay",
  status: "pending",
  amount: money("1.000000"),
  received: money("0.000000"),
  missing: money("1.000000"),
  expires_at: "2026-01-01T00:10:00Z",
  solana_pay: { url: "solana:recipient?amount=1" },
  signatures: [],
  notices: [],
  ...over,
});
const rented = (over: Record<string, unknown> = {}) =>
  cluster({
    id: "cl_1",
    created_at: "2026-01-01T00:00:00Z",
    name: null,
    ends_at: "2026-01-01T01:00:00Z",
    payment: payment(),
    ...over,
  });
const bill = {
  billed_seconds: [],
  charged: money("0.250000"),
  paid: money("1.000000"),
  refund: { id: "rfd_1", amount: money("0.750000"), to: "wallet", status: "pending", signature: null },
};
const reserved = rented({ status: "awaiting_payment", secret: "secret-1" });
const stopped = rented({ status: "stopping", bill });

describe("operations", () => {
  test("every operation that is not a machine's own is a command, with a flag for each of its fields", () => {
    const expected = Object.values(OPERATIONS).filter(({ scope }) => scope !== "node");
    expect(OPERATION_COMMANDS.map(({ name }) => name).sort()).toEqual(
      expected.map(({ id }) => id.replace(".", " ").replaceAll("_", "-")).sort(),
    );
    const flags = OPERATION_COMMANDS.find(({ name }) => name === "quotes create")?.flags.map(({ flag }) => flag);
    expect(flags).toEqual(
      expect.arrayContaining(["gpu", "gpus-per-node", "duration", "max-price-per-gpu-hour", "countries"]),
    );
  });

  test("flags become the fields of the request, nested ones too", async () => {
    const api = fakeApi(json(reserved, { status: 201 }));
    const argv = [
      "clusters",
      "reserve",
      "--quote-token",
      "t",
      "--payment-rail",
      "solana_pay",
      "--env",
      "A=1",
      "--env",
      "B=x=y",
      "--metadata",
      "k=v",
    ];
    const { code } = await volley(api, argv, { home: await homeFolder() });
    expect(code).toBe(EXIT.ok);
    expect(api.seen[0]?.body).toEqual({
      quote_token: "t",
      payment: { rail: "solana_pay" },
      env: { A: "1", B: "x=y" },
      metadata: { k: "v" },
    });
  });

  test.each([
    ["--duration", "2h30m"],
    ["--duration", "9000"],
    ["--duration-seconds", "9000"],
  ])("%s %s is a time span", async (flag, value) => {
    const api = fakeApi(json(quote, { status: 201 }));
    await volley(api, ["quotes", "create", "--gpu", "h100", flag, value, "--countries", "DE,FR", "--countries", "NL"], {
      home: await homeFolder(),
    });
    expect(api.seen[0]?.body).toEqual({ gpu: "h100", duration_seconds: 9000, countries: ["DE", "FR", "NL"] });
  });

  test("a list is a table for people and the API's own JSON for scripts", async () => {
    const page = {
      data: [
        {
          object: "gpu",
          gpu: "h100",
          name: "H100",
          vram_gib: 80,
          gpus_available: 3,
          gpus_total: 8,
          price_per_gpu_hour_min: money("2.500000"),
          price_per_gpu_hour_max: null,
        },
      ],
      next_cursor: "c2",
    };
    const home = await homeFolder();
    const people = await volley(fakeApi(json(page)), ["gpus"], { home });
    expect(people.stdout).toMatch(
      /^GPU +NAME +VRAM GIB.*\nh100 +H100 +80 +3 +8 +2.50 USDC +-\nMore: --cursor c2, or --all\.\n$/,
    );
    const scripts = await volley(fakeApi(json(page)), ["gpus", "list", "--json"], { home });
    expect(JSON.parse(scripts.stdout)).toEqual(page);
  });

  test("--all turns every page", async () => {
    const row = (id: string) => ({ object: "cluster", id });
    const api = fakeApi(
      json({ data: [row("cl_1")], next_cursor: "c2" }),
      json({ data: [row("cl_2")], next_cursor: null }),
    );
    const { stdout } = await volley(api, ["clusters", "--all", "--json", "--token", "t"], { home: await homeFolder() });
    expect(JSON.parse(stdout).data).toHaveLength(2);
    expect(api.seen[1]?.path).toContain("cursor=c2");
  });

  test("text that others wrote can't steer the terminal", async () => {
    const page = { data: [{ object: "gpu", gpu: "x\u001b[2J\u202ey", name: "n" }], next_cursor: null };
    const { stdout } = await volley(fakeApi(json(page)), ["gpus"], { home: await homeFolder() });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    expect(stdout).not.toMatch(/[\u001b\u202e]/);
  });
});

describe("exit codes", () => {
  test.each([
    [["quote"], EXIT.usage],
    [["frob"], EXIT.usage],
    [[], EXIT.usage],
    [["gpus", "--frob"], EXIT.usage],
    [["gpus", "extra"], EXIT.usage],
    [["gpus", "--limit", "many"], EXIT.usage],
    [["offers", "--isolation", "none"], EXIT.usage],
    [["quotes", "create", "--gpu", "h100"], EXIT.usage],
    [["quote", "--gpu", "h100:0"], EXIT.usage],
    [["run", "--gpu", "h100"], EXIT.usage],
    [["payments", "get"], EXIT.usage],
    [["clusters", "reserve", "--quote-token", "t", "--env", "novalue"], EXIT.usage],
    [["rent", "--gpu", "h100", "--keypair", "/nowhere.json"], EXIT.usage],
    [["gpus", "--api-url", "ftp://x"], EXIT.usage],
    [["down"], EXIT.notFound],
    [["help"], EXIT.ok],
    [["help", "run"], EXIT.ok],
    [["help", "payments"], EXIT.ok],
    [["run", "--help"], EXIT.ok],
    [["--version"], EXIT.ok],
  ])("%j ends with %i before anything is asked", async (argv, expected) => {
    const api = fakeApi();
    const { code, stderr } = await volley(api, argv, { home: await homeFolder() });
    expect({ code, asked: api.seen.length }).toEqual({ code: expected, asked: 0 });
    if (expected !== EXIT.ok) expect(stderr).not.toBe("");
  });

  test.each([
    [problem(401, "unauthenticated"), EXIT.auth],
    [problem(404, "not_found"), EXIT.notFound],
    [problem(409, "capacity_gone"), EXIT.capacity],
    [problem(409, "price_above_cap"), EXIT.capacity],
    [problem(422, "unknown_gpu"), EXIT.capacity],
    [problem(422, "rail_unavailable"), EXIT.payment],
    [problem(422, "invalid_field"), EXIT.usage],
    [problem(409, "nothing_to_refund"), EXIT.refused],
  ])("a refusal of the API has its own code", async (answer, expected) => {
    const { code } = await volley(fakeApi(answer), ["payments", "get", "pay_1"], { home: await homeFolder() });
    expect(code).toBe(expected);
  });

  test("no answer is a code of its own", async () => {
    const api = fakeApi(connectionFailure(), connectionFailure(), connectionFailure());
    expect((await volley(api, ["network"], { home: await homeFolder() })).code).toBe(EXIT.network);
  });

  test("an error says what to do next; for scripts it is JSON", async () => {
    const members = { next_action: "Ask again later.", alternatives: [{ description: "4 × a100 for less" }] };
    const home = await homeFolder();
    const answer = problem(409, "gang_impossible", { members });
    const people = await volley(fakeApi(answer), ["quote", "--gpu", "h100"], { home });
    expect(people.stderr).toBe("volley: Detail.\n  instead: 4 × a100 for less\n  Ask again later.\n");
    const scripts = await volley(fakeApi(answer), ["quote", "--gpu", "h100", "--json"], { home });
    expect(JSON.parse(scripts.stderr).error).toMatchObject({
      code: "gang_impossible",
      exit_code: EXIT.capacity,
      next_action: "Ask again later.",
    });
    expect(scripts.stdout).toBe("");
  });
});

describe("credentials", () => {
  async function rent(home: string) {
    const answers = [
      json(quote, { status: 201 }),
      json(reserved, { status: 201 }),
      json(payment({ status: "settled" })),
      json(rented()),
    ];
    const api = fakeApi(...answers);
    return { api, ended: await volley(api, ["rent", "--gpu", "h100:8", "--nodes", "2"], { home }) };
  }

  test("rent keeps the cluster's secret for this user alone, and later commands use it", async () => {
    const home = await homeFolder();
    const { api, ended } = await rent(home);
    expect(ended.code).toBe(EXIT.ok);
    expect(ended.stdout + ended.stderr).not.toContain("secret-1");
    expect(api.seen[0]?.body).toMatchObject({ gpu: "h100", gpus_per_node: 8, nodes: 2, duration_seconds: 3600 });
    const folder = join(home, ".local/state/volley/clusters");
    const [name = ""] = await readdir(folder);
    expect((await stat(join(folder, name))).mode & 0o777).toBe(0o600);
    expect((await stat(folder)).mode & 0o777).toBe(0o700);

    const later = fakeApi(json(rented()), json(stopped));
    const down = await volley(later, ["down"], { home });
    expect(down.stdout).toBe(
      "cl_1 is stopping: 0.25 USDC of 1.00 USDC charged, 0.75 USDC go back (wallet, pending).\n",
    );
    expect(later.seen.map(({ headers }) => headers.get("authorization"))).toEqual([
      "Bearer secret-1",
      "Bearer secret-1",
    ]);
    expect((await volley(fakeApi(), ["ps"], { home })).stdout).toBe("No cluster is running.\n");
  });

  test("a payment is opened by the secret of its cluster", async () => {
    const home = await homeFolder();
    await rent(home);
    const api = fakeApi(json(payment()));
    await volley(api, ["payments", "get", "pay_1"], { home });
    expect(api.seen[0]?.headers.get("authorization")).toBe("Bearer secret-1");
  });

  test("a secret goes to no other API than the one that issued it", async () => {
    const home = await homeFolder();
    await rent(home);
    const api = fakeApi(json(payment()), json(payment()));
    await volley(api, ["payments", "get", "pay_1", "--api-url", "http://other.test"], { home });
    expect(api.seen[0]?.headers.get("authorization")).toBeNull();
  });

  test("VOLLEY_TOKEN is the account's credential", async () => {
    const api = fakeApi(json(payment()));
    await volley(api, ["payments", "get", "pay_9"], { home: await homeFolder(), env: { VOLLEY_TOKEN: "token-9" } });
    expect(api.seen[0]?.headers.get("authorization")).toBe("Bearer token-9");
  });

  test("a key file that holds no key is refused, without showing what it holds", async () => {
    const home = await homeFolder();
    await writeFile(join(home, "key.json"), "[1,2,3,777]");
    const argv = ["rent", "--gpu", "h100", "--keypair", join(home, "key.json"), "--rpc-url", "http://rpc.test"];
    const { code, stderr } = await volley(fakeApi(), argv, { home });
    expect(code).toBe(EXIT.usage);
    expect(stderr).not.toContain("777");
  });
});

describe("pay", () => {
  test("asks only for the rest once a part has arrived, and says what is missing", async () => {
    const part = payment({ received: money("0.400000"), missing: money("0.600000") });
    const api = fakeApi(json(part), json(part), json(payment({ status: "settled" })));
    const { code, stderr } = await volley(api, ["pay", "pay_1"], { home: await homeFolder() });
    expect(code).toBe(EXIT.ok);
    expect(stderr).toContain("Pay 0.60 USDC before");
    expect(stderr).toContain("solana:recipient?amount=0.600000\n");
    expect(stderr).toContain("0.40 USDC arrived; 0.60 USDC are still missing.");
  });

  test("what has been seen on chain is waited for and not asked for again", async () => {
    const api = fakeApi(json(payment({ status: "detected" })), json(payment({ status: "settled" })));
    const { code, stderr } = await volley(api, ["pay", "pay_1"], { home: await homeFolder() });
    expect({ code, asked: stderr.includes("solana:") }).toEqual({ code: EXIT.ok, asked: false });
  });

  test("an expired payment is not asked for", async () => {
    const expired = () => json(payment({ status: "expired" }));
    const { code, stderr } = await volley(fakeApi(expired(), expired()), ["pay", "pay_1"], {
      home: await homeFolder(),
    });
    expect({ code, asked: stderr.includes("solana:") }).toEqual({ code: EXIT.payment, asked: false });
  });

  test("a payment by card shows the processor's page and waits", async () => {
    const card = { rail: "stripe", solana_pay: null, checkout_url: "https://checkout.example/c/1" };
    const looks = ["pending", "detected", "settled"].map((status) => json(payment({ ...card, status })));
    const { code, stderr } = await volley(fakeApi(...looks), ["pay", "pay_1"], { home: await homeFolder() });
    expect(code).toBe(EXIT.ok);
    expect(stderr).toContain("by card on this page:\nhttps://checkout.example/c/1\n");
    expect(stderr).toContain("The page was completed; waiting until it is confirmed.");
  });

  test("a payment by a rail without a wallet or a page says that it can't be paid from here", async () => {
    const balance = payment({ rail: "balance", solana_pay: null, checkout_url: null });
    const { code, stderr } = await volley(fakeApi(json(balance)), ["pay", "pay_1"], { home: await homeFolder() });
    expect({ code, said: stderr.includes("can't be paid from here") }).toEqual({ code: EXIT.payment, said: true });
  });
});

describe("run", () => {
  const until = (settled: ReturnType<typeof json>, ...rest: ReturnType<typeof json>[]) =>
    fakeApi(json(quote, { status: 201 }), json(reserved, { status: 201 }), settled, ...rest);
  const paid = json(payment({ status: "settled" }));
  const argv = ["run", "--gpu", "h100", "--", "torchrun", "train.py"];

  test("prints the output, tears down, and ends with the command's code", async () => {
    const outputs = streamOf([
      output("1", 0, "stdout", "hello\n"),
      output("2", 1, "stderr", "oops\n"),
      output("3", 0, "exit", null, 0),
      output("4", 1, "exit", null, 7),
    ]);
    const api = until(paid, json(rented()), outputs, json(stopped));
    const { code, stdout, stderr } = await volley(api, argv, { home: await homeFolder() });
    expect(code).toBe(7);
    expect(stdout).toBe("[0] hello\n");
    expect(stderr).toContain("[1] oops\n");
    expect(stderr).toContain("0.75 USDC go back");
    expect(api.seen[4]?.body).toMatchObject({ command: ["torchrun", "train.py"] });
    expect(api.seen.at(-1)?.method).toBe("DELETE");
  });

  test("one word is a shell line; its JSON ends with the bill", async () => {
    const outputs = streamOf([
      output("1", 0, "stdout", "hi\n"),
      output("2", 0, "exit", null, 0),
      output("3", 1, "exit", null, 0),
    ]);
    const api = until(paid, json(rented()), outputs, json(stopped));
    const { code, stdout } = await volley(api, ["run", "--gpu", "h100", "--json", "--", "echo hi | cat"], {
      home: await homeFolder(),
    });
    const lines = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(code).toBe(0);
    expect(api.seen[4]?.body).toMatchObject({ command: "echo hi | cat" });
    expect(lines).toEqual([
      { rank: 0, stream: "stdout", text: "hi\n" },
      { object: "run", cluster_id: "cl_1", exit_code: 0, bill },
    ]);
  });

  test("--rail balance asks no wallet", async () => {
    const settled = { ...reserved, payment: payment({ rail: "balance", status: "settled", solana_pay: null }) };
    const outputs = streamOf([output("1", 0, "exit", null, 0), output("2", 1, "exit", null, 0)]);
    const api = fakeApi(json(quote), json(settled), json(rented()), outputs, json(stopped));
    const balance = ["run", "--gpu", "h100", "--rail", "balance", "--", "true"];
    const { code } = await volley(api, balance, {
      home: await homeFolder(),
      env: { VOLLEY_TOKEN: "t", VOLLEY_KEYPAIR: "/none" },
    });
    expect(code).toBe(EXIT.ok);
    expect(api.seen[1]?.body).toEqual({ quote_token: "token-1", payment: { rail: "balance" } });
  });

  test("a payment that expires ends the cluster and has the code for payments", async () => {
    const api = until(json(payment({ status: "expired" })), json(rented({ status: "expired" })));
    const { code } = await volley(api, argv, { home: await homeFolder() });
    expect({ code, last: api.seen.at(-1)?.method }).toEqual({ code: EXIT.payment, last: "DELETE" });
  });

  test("a cluster that never becomes ready is torn down", async () => {
    const api = until(paid, json(rented({ status: "failed", status_reason: "gang_failed" })), json(stopped));
    const { code } = await volley(api, argv, { home: await homeFolder() });
    expect({ code, last: api.seen.at(-1)?.method }).toEqual({ code: EXIT.clusterFailed, last: "DELETE" });
  });

  test.each(["solana_pay", "balance"])(
    "interrupted while reserving, it waits for the answer and tears down (%s)",
    async (rail) => {
      const stop = new AbortController();
      const settled = { ...reserved, payment: payment({ rail, status: rail === "balance" ? "settled" : "pending" }) };
      const reserve = (request: SeenRequest) => {
        stop.abort(130);
        if (request.signal?.aborted) throw request.signal.reason;
        return Response.json(settled);
      };
      const api = fakeApi(json(quote), reserve, json(stopped));
      const { code } = await volley(api, ["run", "--gpu", "h100", "--rail", rail, "--", "true"], {
        home: await homeFolder(),
        signal: stop.signal,
      });
      expect({ code, last: api.seen.at(-1)?.method }).toEqual({ code: 130, last: "DELETE" });
    },
  );

  test("interrupted while paying, it tears down and ends with the signal's code", async () => {
    const stop = new AbortController();
    const pending = () => json(payment());
    const api = until(pending(), json(stopped));
    const onErr = (text: string) => {
      if (text.startsWith("solana:")) stop.abort(130);
    };
    const { code } = await volley(api, argv, { home: await homeFolder(), signal: stop.signal, onErr });
    expect({ code, last: api.seen.at(-1)?.method }).toEqual({ code: 130, last: "DELETE" });
  });

  test("when tearing down fails it says how to do it, and keeps the secret", async () => {
    const outputs = streamOf([output("1", 0, "exit", null, 0), output("2", 1, "exit", null, 0)]);
    const refusals = Array.from({ length: 7 }, () => problem(503, "unavailable"));
    const api = until(paid, json(rented()), outputs, ...refusals);
    const home = await homeFolder();
    const { code, stderr } = await volley(api, argv, { home });
    expect(code).toBe(EXIT.tryLater);
    expect(stderr).toContain("volley down cl_1");
    const known = JSON.parse(await readFile(join(home, ".local/state/volley/clusters/cl_1.json"), "utf8"));
    expect(known).toMatchObject({ secret: "secret-1", hasEnded: false });
  });
});

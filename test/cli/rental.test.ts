/** The program as it is used, against the all-in-one: a process, a chain, a machine. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type LocalServer, startLocalServer } from "../harness/local-server.ts";
import { homeFolder, startVolley } from "./terminal.ts";

let folder: string;
let server: LocalServer;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "volley-cli-rental-"));
  server = await startLocalServer(folder);
}, 120_000);

afterAll(async () => {
  await server?.stop();
  await rm(folder, { recursive: true });
}, 60_000);

function environment(home: string): Record<string, string> {
  return {
    HOME: home,
    VOLLEY_API_URL: server.local.api_url,
    VOLLEY_RPC_URL: server.local.rpc_url,
    VOLLEY_KEYPAIR: server.local.payer_keypair_path,
  };
}

const ended = (home: string, ...argv: string[]) => startVolley(argv, environment(home)).ended;

async function json(home: string, ...argv: string[]) {
  const { code, stdout, stderr } = await ended(home, ...argv, "--json");
  expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
  return JSON.parse(stdout);
}

describe("a rental from the command line", () => {
  test("rent, pay with a key pair, run a command, look, end: all of it as JSON", async () => {
    const home = await homeFolder();
    const cluster = await json(home, "rent", "--gpu", "cpu", "--duration", "10m", "--name", "mine");
    expect(cluster).toMatchObject({ object: "cluster", status: "running", name: "mine", secret: null });
    expect((await json(home, "ps")).data.map(({ id }: { id: string }) => id)).toEqual([cluster.id]);

    const hello = await ended(home, "exec", "mine", "--", "sh", "-c", "echo hello from $VOLLEY_RANK; exit 3");
    expect(hello).toMatchObject({ code: 3, stdout: "hello from 0\n" });
    const payment = await json(home, "payments", "get", cluster.payment.id);
    expect(payment).toMatchObject({ status: "settled", signatures: [expect.any(String)] });
    expect(await json(home, "extend", "--duration", "10m", "--dry-run")).toMatchObject({
      dry_run: true,
      payment: null,
    });
    const more = await json(home, "extend", "--duration", "10m");
    expect(Date.parse(more.ends_at)).toBeGreaterThan(Date.parse(cluster.ends_at));

    const { data } = await json(home, "down");
    expect(data[0]).toMatchObject({
      id: cluster.id,
      status: expect.stringMatching(/^stopp/),
      bill: { refund: { to: cluster.refund_address } },
    });
    expect(await json(home, "ps")).toEqual({ data: [] });
    expect((await json(home, "ps", "--all")).data).toHaveLength(1);
  });

  test("run ends with the command's code and leaves nothing running", async () => {
    const home = await homeFolder();
    const { code, stdout, stderr } = await ended(
      home,
      "run",
      "--gpu",
      "cpu",
      "--nodes",
      "2",
      "--",
      "echo rank $VOLLEY_RANK; exit $VOLLEY_RANK",
    );
    expect(stdout.split("\n").sort()).toEqual(["", "[0] rank 0", "[1] rank 1"]);
    expect(code).toBe(1);
    expect(stderr).toContain("go back");
    const { data } = await json(home, "ps", "--all");
    expect(data).toMatchObject([{ status: expect.stringMatching(/^stopp/), status_reason: "released" }]);
  });

  test("Ctrl-C in the middle of a command ends the cluster, and the code says so", async () => {
    const home = await homeFolder();
    const program = startVolley(
      ["run", "--gpu", "cpu", "--", "echo begun; sleep 300"],
      environment(home),
      (printed) => {
        if (printed.includes("begun")) program.interrupt();
      },
    );
    const { code, stderr } = await program.ended;
    expect(code).toBe(130);
    expect(stderr).toContain("has been torn down");
    const { data } = await json(home, "ps", "--all");
    expect(data).toMatchObject([{ status: expect.stringMatching(/^stopp/), status_reason: "released" }]);
  });

  test("Ctrl-C while the payment is awaited ends the reservation", async () => {
    const home = await homeFolder();
    const { VOLLEY_KEYPAIR: _, ...without } = environment(home);
    const program = startVolley(["run", "--gpu", "cpu", "--", "true"], without, (printed) => {
      if (printed.includes("solana:")) program.interrupt();
    });
    expect((await program.ended).code).toBe(130);
    const { data } = await json(home, "ps", "--all");
    expect(data.map(({ status }: { status: string }) => status)).not.toContain("awaiting_payment");
  });

  test("without a key pair it asks to be paid; `volley pay` elsewhere does it", async () => {
    const home = await homeFolder();
    const { VOLLEY_KEYPAIR: _, ...without } = environment(home);
    let paid: Promise<unknown> | undefined;
    const program = startVolley(["run", "--gpu", "cpu", "--", "echo done"], without, (printed) => {
      const url = /^(solana:\S+)\n/m.exec(printed)?.[1];
      if (url !== undefined) paid ??= ended(home, "pay", url);
    });
    expect(await program.ended).toMatchObject({ code: 0, stdout: "done\n" });
    expect(await paid).toMatchObject({ code: 0, stdout: expect.stringContaining("Paid") });
  });

  test("an account: sign in, rent on it, find the cluster elsewhere, sign out", async () => {
    const [home, elsewhere] = [await homeFolder(), await homeFolder()];
    const { account } = await json(home, "login");
    const challenge = await json(home, "auth", "challenge", "--address", account.wallet);
    expect(challenge.message).toContain(`URI: ${server.local.api_url}`);
    expect(await json(home, "account")).toEqual(account);
    const cluster = await json(home, "rent", "--gpu", "cpu", "--duration", "10m");
    await json(elsewhere, "login");
    expect((await json(elsewhere, "ps")).data).toMatchObject([{ id: cluster.id, status: "running" }]);
    expect((await json(elsewhere, "down", cluster.id)).data).toMatchObject([{ id: cluster.id }]);
    await json(home, "logout");
    expect((await ended(home, "account")).code).toBe(77);
    expect((await ended(elsewhere, "account")).code).toBe(0);
  });
});

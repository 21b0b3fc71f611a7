/** The server is killed between any two steps of a rental, and in the middle of some. */
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { parseUsdc } from "@volley/schema/money";
import type { Cluster, ClusterHandle, Quote } from "@volley/sdk";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MortalServer } from "./mortal-server.ts";

const DURATION = "30m";
const LINES = 6;
/** For a server that hangs; ten starts of it may take minutes on a busy machine. */
const TEST_TIMEOUT_MS = 900_000;

let server: MortalServer;
const rented: string[] = [];

beforeAll(async () => {
  server = await MortalServer.start();
}, TEST_TIMEOUT_MS);

afterAll(async () => {
  await server[Symbol.asyncDispose]();
}, TEST_TIMEOUT_MS);

async function quoteTwoNodes(): Promise<Quote> {
  // A machine that was just started again is offered once its agent has been heard of.
  return server.until("a quote", () => server.volley.quotes.create({ gpu: "cpu", nodes: 2, duration: DURATION }));
}

async function reserve(quote: Quote, refundAddress: string | null, idempotencyKey: string): Promise<ClusterHandle> {
  const handle = await server.volley.clusters.reserve({ quote, refundAddress }, { idempotencyKey });
  rented.push(handle.id);
  return handle;
}

/** The cluster as the server tells it now, whichever server that is. */
const look = (handle: ClusterHandle) => server.volley.clusters.get(handle.id, { secret: handle.secret ?? undefined });

const untilStatus = (handle: ClusterHandle, ...statuses: Cluster["status"][]) =>
  server.until(`the cluster is ${statuses.join(" or ")}`, async () => {
    const cluster = await look(handle);
    return statuses.includes(cluster.status) ? cluster : null;
  });

/** Ended, its money back on chain, and no task left that could still change something. */
async function untilOver(handle: ClusterHandle): Promise<Cluster> {
  return server.until("the cluster has ended and the refund is final", async () => {
    const cluster = await look(handle);
    const isOver = ["stopped", "expired", "failed"].includes(cluster.status);
    const refund = cluster.bill?.refund;
    const isPaidBack =
      refund?.status === "finalized" || (refund !== undefined && parseUsdc(refund.amount.amount) === 0n);
    return isOver && isPaidBack ? cluster : null;
  });
}

async function expectMoneyRight(cluster: Cluster, spentMicroUsdc: bigint): Promise<void> {
  const { bill } = cluster;
  if (!bill) throw new Error("an ended cluster has its bill");
  const [paid, charged, refunded] = [bill.paid, bill.charged, bill.refund.amount].map(({ amount }) =>
    parseUsdc(amount),
  );
  expect(paid).toBe((charged ?? 0n) + (refunded ?? 0n));
  expect(spentMicroUsdc).toBe(charged);
  await server.until("the audit finds nothing", async () => (await server.brokenRules()).length === 0);
  expect(await server.brokenRules()).toEqual([]);
}

describe("a server that is killed", () => {
  it(
    "between any two steps of a rental brings it to its proper end",
    async () => {
      const before = await server.payerMicroUsdc();
      const payer = await server.payerAddress();
      await server.killAndStart();
      const quote = await quoteTwoNodes();
      await server.killAndStart();
      const handle = await reserve(quote, payer, randomUUID());
      await server.killAndStart();
      expect((await look(handle)).status).toBe("awaiting_payment");

      await server.pay(handle.data.payment.solanaPay?.url ?? "");
      await server.killAndStart();
      await untilStatus(handle, "provisioning", "running");
      await server.killAndStart();
      await untilStatus(handle, "running");
      await server.killAndStart();
      expect((await look(handle)).status).toBe("running");

      const attached = await server.volley.clusters.attach(handle.id, handle.secret ?? "");
      const { exitCodes } = await collect(attached, "echo $VOLLEY_RANK");
      expect(exitCodes).toEqual([0, 0]);
      await server.killAndStart();

      await server.until("a teardown", async () => {
        const again = await server.volley.clusters.attach(handle.id, handle.secret ?? "");
        return again.teardown({ maxRetries: 0 });
      });
      await server.killAndStart();
      await untilStatus(handle, "stopped");
      await server.killAndStart();
      const cluster = await untilOver(handle);
      await server.killAndStart();
      expect((await look(handle)).bill).toEqual(cluster.bill);
      await expectMoneyRight(cluster, before - (await server.payerMicroUsdc()));
      expect(server.deaths).toBeGreaterThanOrEqual(10);
    },
    TEST_TIMEOUT_MS,
  );

  it(
    "in the middle of a request has done all of it or nothing, and repeating it gives the one answer",
    async () => {
      const before = await server.payerMicroUsdc();
      const payer = await server.payerAddress();
      const quote = await quoteTwoNodes();
      const key = randomUUID();
      const dying = reserve(quote, payer, key).catch(() => null);
      await delay(3);
      await server.killAndStart();
      const first = await dying;
      const handle = await server.until("a reservation", () => reserve(quote, payer, key));
      if (first !== null) expect(handle.id).toBe(first.id);
      expect((await reserve(quote, payer, key)).secret).toBe(handle.secret);

      // Sent, and perhaps not confirmed yet.
      const sending = new AbortController();
      const paying = server.pay(handle.data.payment.solanaPay?.url ?? "", sending.signal).catch(() => undefined);
      await delay(150);
      await server.kill();
      // It would go on sending for minutes, to whoever answers at that address.
      sending.abort();
      await paying;
      await server.start();
      const seen = await server.until("the payment was seen or can be repeated", async () => {
        const cluster = await look(handle);
        if (cluster.status !== "awaiting_payment") return cluster;
        const spent = before - (await server.payerMicroUsdc());
        if (spent === 0n) await server.pay(handle.data.payment.solanaPay?.url ?? "");
        return null;
      });
      expect(["provisioning", "running"]).toContain(seen.status);
      await untilStatus(handle, "running");

      const teardownKey = randomUUID();
      const tearDown = () =>
        server.volley.clusters.teardown(handle.id, { secret: handle.secret ?? undefined, idempotencyKey: teardownKey });
      const dyingTeardown = tearDown().catch(() => null);
      await delay(3);
      await server.killAndStart();
      const answered = await dyingTeardown;
      const repeated = await server.until("a teardown", tearDown);
      if (answered !== null) expect(repeated.bill?.charged).toEqual(answered.bill?.charged);
      const cluster = await untilOver(handle);
      await expectMoneyRight(cluster, before - (await server.payerMicroUsdc()));
    },
    TEST_TIMEOUT_MS,
  );

  it(
    "while a command runs keeps its output, and tells how it ended",
    async () => {
      const payer = await server.payerAddress();
      const handle = await reserve(await quoteTwoNodes(), payer, randomUUID());
      await server.pay(handle.data.payment.solanaPay?.url ?? "");
      await untilStatus(handle, "running");
      const idempotencyKey = randomUUID();
      const command = `for i in $(seq ${LINES}); do echo line $i; sleep 1; done`;
      const secret = handle.secret ?? undefined;
      const whole = Array.from({ length: LINES }, (_, index) => `line ${index + 1}\n`).join("");
      let killing: Promise<void> | null = null;
      // What any telling showed of a rank, whether or not the server lived to end it.
      const tellings: Map<number, string>[] = [];
      const ranks = await server.until("both ranks have exited", async () => {
        const ended = new Map<number, { code: number | null; reason: string | null }>();
        const texts = new Map<number, string>();
        tellings.push(texts);
        // With the same key it is the same command, told again from its beginning.
        for await (const output of server.volley.clusters.exec(handle.id, { command }, { secret, idempotencyKey })) {
          const text = (texts.get(output.rank) ?? "") + (output.data ?? "");
          texts.set(output.rank, text);
          if (output.type === "exit") ended.set(output.rank, { code: output.code, reason: output.reason });
          else if (killing === null && text.includes("line 2")) killing = server.killAndStart();
        }
        await killing;
        return ended.size === 2
          ? [...ended].map(([rank, end]) => ({ rank, ...end, text: texts.get(rank) ?? "" }))
          : null;
      });
      expect(killing).not.toBeNull();
      // One rank had shown line 2; how far the other one had come by then is nobody's promise.
      expect(ranks.some(({ text }) => text.includes("line 2\n"))).toBe(true);
      for (const { rank, text, code, reason } of ranks) {
        for (const texts of tellings) expect(text.startsWith(texts.get(rank) ?? "")).toBe(true);
        // The agent died with the server, and may have taken the command along: then it says so.
        if (code === 0) expect(text).toBe(whole);
        else expect(reason).not.toBeNull();
        expect(whole.startsWith(text)).toBe(true);
      }
      await server.until("a teardown", () => server.volley.clusters.teardown(handle.id, { secret }));
      await untilOver(handle);
      expect(await server.brokenRules()).toEqual([]);
    },
    TEST_TIMEOUT_MS,
  );

  it(
    "leaves nothing on the machine that its successor doesn't clear away",
    async () => {
      expect(await server.stop(rented)).toEqual([]);
      await server.start();
    },
    TEST_TIMEOUT_MS,
  );
});

async function collect(handle: ClusterHandle, command: string): Promise<{ exitCodes: (number | null)[] }> {
  const exitCodes: (number | null)[] = [];
  for await (const output of handle.exec(command)) {
    if (output.type === "exit") exitCodes.push(output.code);
  }
  return { exitCodes };
}

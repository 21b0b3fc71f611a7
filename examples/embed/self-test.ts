/** Buys from the shop as a customer does, and checks what comes back. */
import assert from "node:assert/strict";
import type { Job } from "./jobs.ts";

const WAIT_MS_MAX = 180_000;
const POLL_MS = 250;

async function order(shop: string, body: unknown): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await fetch(`${shop}/jobs`, { method: "POST", body: JSON.stringify(body) });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

async function finished(shop: string, id: unknown): Promise<Job> {
  const deadlineMs = Date.now() + WAIT_MS_MAX;
  for (;;) {
    const job = (await (await fetch(`${shop}/jobs/${id}`)).json()) as Job;
    if (job.status === "done" || job.status === "failed") return job;
    assert(Date.now() < deadlineMs, `the job is still ${job.status}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

export async function selfTest(shop: string): Promise<void> {
  assert.match(await (await fetch(shop)).text(), /Compute by the minute/);

  const wrong = await order(shop, { gpu: "no-such-gpu", minutes: 5, command: "true" });
  assert.equal(wrong.status, 422);
  assert.match(String(wrong.body.error), /no-such-gpu/);

  const good = await order(shop, { gpu: "cpu", minutes: 5, command: "echo hello from rank $VOLLEY_RANK; sleep 2" });
  assert.equal(good.status, 201);
  const done = await finished(shop, good.body.id);
  assert.equal(done.error, null);
  assert.equal(done.output, "hello from rank 0\n");
  assert(Number(done.price) > 0 && Number(done.price) < Number(done.priceMax), "only the seconds used are paid");

  const failing = await order(shop, { gpu: "cpu", minutes: 5, command: "exit 3" });
  const failed = await finished(shop, failing.body.id);
  assert.equal(failed.status, "failed");
  assert.match(failed.error ?? "", /exit code 3/);
  console.log(`The shop works: a job cost ${done.price} of at most ${done.priceMax} USDC.`);
}

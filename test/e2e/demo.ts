/**
 * The main job, end to end, on a fresh folder: quote, reserve, pay, use and tear down a two-node cluster
 * through the SDK, then check the bill, the chain and the ledger, and that nothing is left behind.
 */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseUsdc } from "@volley/schema/money";
import { Volley } from "@volley/sdk";
import { keypairSignerFromFile, payWith } from "@volley/sdk/solana";
import { type LocalServer, startLocalServer } from "../harness/local-server.ts";
import { runAudit, usdcOf } from "./checks.ts";
import { findLeftovers } from "./leftovers.ts";

const startedAt = performance.now();

function say(sentence: string): void {
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1).padStart(5);
  console.log(`${seconds} s  ${sentence}`);
}

function check(holds: boolean, sentence: string): void {
  if (!holds) throw new Error(`this does not hold: ${sentence}`);
  say(`  ✓ ${sentence}`);
}

async function rent(server: LocalServer): Promise<string> {
  const { api_url: baseUrl, rpc_url: rpcUrl, payer_keypair_path: payerFile } = server.local;
  const volley = new Volley({ baseUrl });
  const signer = await keypairSignerFromFile(payerFile);
  const before = await usdcOf(server.local, signer.address);

  const quote = await volley.quotes.create({ gpu: "cpu", nodes: 2, duration: "30m" });
  say(`quoted: 2 nodes for 30 minutes, ${quote.total.amount} USDC, firm until ${quote.expiresAt}`);

  let clusterId = "";
  {
    await using cluster = await volley.clusters.reserve({ quote, pay: payWith({ signer, rpcUrl }) });
    clusterId = cluster.id;
    say(`reserved and paid: ${cluster.id}`);
    const running = await cluster.ready({ timeout: "3m" });
    say(`running since ${running.readyAt}: ${running.nodes.map((node) => node.hostname).join(", ")}`);

    const job = await readFile(new URL("../../examples/rent-and-train/train.mjs", import.meta.url), "utf8");
    for await (const line of cluster.run(["node", "--input-type=module", "-"], { stdin: job })) {
      process.stdout.write(`         rank ${line.rank}  ${line.text}`);
    }
    const stopped = await cluster.teardown();
    say(`torn down early: ${stopped.bill?.charged.amount} USDC for ${stopped.bill?.billedSeconds[0]?.seconds} s`);
    const settled = await cluster.settled({ timeout: "2m" });
    const bill = settled.bill;
    if (!bill) throw new Error("an ended cluster has no bill");
    say(`refunded: ${bill.refund.amount.amount} USDC, transaction ${bill.refund.signature}`);

    const [paid, charged, refunded] = [bill.paid, bill.charged, bill.refund.amount].map((money) =>
      parseUsdc(money.amount),
    );
    check(paid === parseUsdc(quote.total.amount), "the quoted price was paid, to the last micro-USDC");
    check(paid === (charged ?? 0n) + (refunded ?? 0n), "paid = charged + refunded");
    check((charged ?? 0n) > 0n && (refunded ?? 0n) > (charged ?? 0n), "used seconds are charged, unused ones are not");
    check(
      before - (await usdcOf(server.local, signer.address)) === charged,
      "the payer's wallet is short of the charge alone",
    );
  }
  return clusterId;
}

const folder = await mkdtemp(join(tmpdir(), "volley-demo-"));
let server: LocalServer | null = null;
try {
  say("starting Postgres, a development chain, the API and an agent on free ports");
  server = await startLocalServer(folder);
  say(`listening: ${server.local.api_url} (API), ${server.local.rpc_url} (chain)`);
  const clusterId = await rent(server);
  for (const result of await runAudit(folder)) check(result.holds, `audit: ${result.name}`);
  check((await server.stop()) === 0, "everything stopped in order");
  server = null;
  const leftovers = await findLeftovers(folder, [clusterId]);
  check(leftovers.length === 0, `nothing is left behind${leftovers.length > 0 ? `: ${leftovers.join("; ")}` : ""}`);
  say("done");
} catch (error) {
  if (server) console.error(`\nThe server printed last:\n${server.output().slice(-6000)}\n`);
  throw error;
} finally {
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
}

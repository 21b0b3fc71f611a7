/**
 * Runs one command on a rented cluster from a CI job, and ends with the command's exit code.
 * However it ends (success, failure, cancelled, out of time), the cluster is torn down.
 *
 *   node examples/ci-burst/main.ts [--gpu cpu] [--nodes 1] [--minutes 10] [--max-price 2.50] [-- command arguments…]
 */
import { constants } from "node:os";
import { parseArgs } from "node:util";
import { AbortedError, CommandFailedError, Volley, VolleyError } from "@volley/sdk";
import { keypairSignerFromFile, payWith } from "@volley/sdk/solana";
import { readLocal } from "../local.ts";

/** As timeout(1) and env(1) have it: out of time, and a failure that is not the command's. */
const EXIT_OUT_OF_TIME = 124;
const EXIT_NOT_RUN = 125;
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Stands in for a test suite when no command is given. */
const SAMPLE_COMMAND = ["sh", "-c", "echo tests of rank $VOLLEY_RANK of $VOLLEY_WORLD_SIZE passed"];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    gpu: { type: "string", default: "cpu" },
    nodes: { type: "string", default: "1" },
    minutes: { type: "string", default: "10" },
    "max-price": { type: "string" },
  },
});
const command = positionals.length > 0 ? positionals : SAMPLE_COMMAND;
const seconds = Number(values.minutes) * 60;

/** Fires when the job is cancelled or its time is over; its reason is the exit code. */
const stop = new AbortController();
for (const signal of SIGNALS) process.on(signal, () => stop.abort(128 + constants.signals[signal]));
// The lease itself ends then too; the margin leaves time to say so.
const timer = setTimeout(() => stop.abort(EXIT_OUT_OF_TIME), (seconds - 10) * 1000);

async function burst(signal: AbortSignal): Promise<void> {
  const { apiUrl, rpcUrl, payerKeypairPath } = await readLocal();
  const volley = new Volley({ baseUrl: apiUrl });
  const pay = payWith({ signer: await keypairSignerFromFile(payerKeypairPath), rpcUrl });
  const quote = await volley.quotes.create(
    {
      gpu: values.gpu,
      nodes: Number(values.nodes),
      durationSeconds: seconds,
      maxPricePerGpuHour: values["max-price"],
    },
    { signal },
  );
  console.error(`Renting ${quote.nodes} × ${quote.gpu} for at most ${quote.total.amount} USDC.`);
  // A reservation that is given up before it is answered is never paid, and expires by itself.
  await using cluster = await volley.clusters.reserve({ quote, pay, name: "ci-burst" }, { signal });
  await cluster.ready({ timeout: seconds, signal });
  for await (const line of cluster.run(command, { signal })) process[line.stream].write(line.text);
}

/** What the CI system gets to see. */
function exitCodeOf(error: unknown): number {
  if (stop.signal.aborted) return stop.signal.reason;
  if (error instanceof CommandFailedError) return error.exits.find(({ code }) => code !== 0)?.code ?? EXIT_NOT_RUN;
  return EXIT_NOT_RUN;
}

if (!(seconds >= 60)) {
  console.error("Usage: main.ts [--gpu cpu] [--nodes 1] [--minutes 10] [--max-price 2.50] [-- command arguments…]");
  process.exit(EXIT_NOT_RUN);
}

try {
  await burst(stop.signal);
} catch (error) {
  process.exitCode = exitCodeOf(error);
  if (error instanceof AbortedError) console.error("Stopped; the cluster has been torn down.");
  else if (error instanceof VolleyError) console.error(error.message);
  else console.error(error);
} finally {
  clearTimeout(timer);
}

/** What quote, rent and run share: the flags of a wish, and the way from a wish to a cluster that is paid. */
import type { ClusterHandle } from "../cluster-handle.ts";
import type { Cluster, ClustersReserveParams, Quote, QuotesCreateParams } from "../generated.ts";
import type { Cli } from "./cli.ts";
import { CliError, EXIT } from "./exit-codes.ts";
import { type Args, type Field, type Flag, paramsOf, textOf } from "./flags.ts";
import { OPERATIONS } from "./generated.ts";
import { settle, type Wallet, walletOf } from "./pay.ts";
import { moneyText } from "./render.ts";

const DURATION_DEFAULT = "1h";
const READY_TIMEOUT_DEFAULT = "10m";

function fieldsOf(operation: string): readonly Field[] {
  return OPERATIONS.find((line) => line.operation === operation)?.fields ?? [];
}

/** These are said in other words, or come from the quote. */
const HIDDEN: ReadonlySet<string> = new Set([
  "gpu",
  "duration",
  "max-price-per-gpu-hour",
  "quote-token",
  "payment-rail",
  "payment-x402-payload",
  "refund-address",
]);
const shown = (operation: string) => fieldsOf(operation).filter(({ flag }) => !HIDDEN.has(flag));
const WISH_FIELDS = shown("quotes.create");
const RESERVE_FIELDS = shown("clusters.reserve");
/** Those that need nothing but what this program has: a wallet, or an account. */
const RAILS = ["solana_pay", "balance"] as const;

export const WISH_FLAGS: readonly Flag[] = [
  { flag: "gpu", kind: "text", isRequired: true, about: "Model, and how many of it on each machine: h100-sxm:8." },
  { flag: "duration", kind: "span", fallback: JSON.stringify(DURATION_DEFAULT), about: "Such as 90m or 2h30m." },
  { flag: "max-price", kind: "text", about: "USDC for a GPU and hour; nothing dearer is rented." },
  ...WISH_FIELDS,
];

export const RESERVE_FLAGS: readonly Flag[] = [
  ...RESERVE_FIELDS,
  {
    flag: "rail",
    kind: "text",
    values: RAILS,
    fallback: '"solana_pay"',
    about: "Whether a wallet pays, or the account's balance.",
  },
  {
    flag: "refund-to",
    kind: "text",
    about: "Wallet that gets unused money back; with --keypair its own is the default.",
  },
  {
    flag: "ready-timeout",
    kind: "span",
    fallback: JSON.stringify(READY_TIMEOUT_DEFAULT),
    about: "How long to wait for the machines.",
  },
];

/** @throws {CliError} with the code for usage */
export function wishOf(args: Args): QuotesCreateParams {
  const [gpu = "", count, ...rest] = (textOf(args, "gpu") ?? "").split(":");
  const isFit = gpu !== "" && rest.length === 0 && (count === undefined || /^[1-9][0-9]{0,3}$/.test(count));
  if (!isFit)
    throw new CliError(EXIT.usage, "--gpu takes a model, such as h100-sxm or h100-sxm:8.", "See `volley gpus`.");
  if (count !== undefined && args.values["gpus-per-node"] !== undefined) {
    throw new CliError(EXIT.usage, "Give the number of GPUs in --gpu or in --gpus-per-node, not in both.");
  }
  const maxPrice = textOf(args, "max-price");
  return {
    ...paramsOf(WISH_FIELDS, args),
    gpu,
    ...(count === undefined ? {} : { gpusPerNode: Number(count) }),
    ...(maxPrice === undefined ? {} : { maxPricePerGpuHour: maxPrice }),
    duration: (args.values.duration as string | number | undefined) ?? DURATION_DEFAULT,
  };
}

export async function getQuote(cli: Cli, args: Args): Promise<Quote> {
  const quote = await cli.client().quotes.create(wishOf(args), { signal: cli.signal });
  const shape = `${quote.nodes} × ${quote.gpusPerNode} ${quote.gpu}`;
  cli.say(`${shape} for ${quote.durationSeconds / 60} minutes: at most ${moneyText(quote.total)}.`);
  return quote;
}

/** Not bound to the signal: what was interrupted ends all the same. A failure says what is left to do. */
export async function endCluster(cli: Cli, cluster: ClusterHandle): Promise<Cluster> {
  try {
    const ended = await cluster.teardown();
    await cli.noteEnd(ended);
    return ended;
  } catch (error) {
    cli.say(`${cluster.id} could not be torn down. Run \`volley down ${cluster.id}\`; its lease ends it in any case.`);
    throw error;
  }
}

/** Ends what can't be handed over. Why it can't matters more than a failure of this. */
export async function endAfterFailure(cli: Cli, cluster: ClusterHandle): Promise<void> {
  try {
    await endCluster(cli, cluster);
    cli.say(`${cluster.id} has been torn down.`);
  } catch (error) {
    cli.say(error instanceof Error ? error.message : String(error));
  }
}

async function payAndWait(
  cli: Cli,
  args: Args,
  cluster: ClusterHandle,
  quote: Quote,
  wallet: Wallet | null,
): Promise<void> {
  const { payment } = cluster.data;
  if (payment.amount.amount !== quote.total.amount) {
    throw new CliError(
      EXIT.payment,
      `The payment asks for ${moneyText(payment.amount)}, but the quote was ${moneyText(quote.total)}.`,
    );
  }
  await settle(cli, cli.client(), payment, wallet, { secret: cluster.secret ?? undefined });
  let ready = 0;
  await cluster.ready({
    timeout: (args.values["ready-timeout"] as string | number | undefined) ?? READY_TIMEOUT_DEFAULT,
    signal: cli.signal,
    onProgress: ({ nodes }) => {
      const now = nodes.filter(({ status }) => status === "ready").length;
      if (now > ready) cli.say(`${now} of ${nodes.length} ranks are ready.`);
      ready = Math.max(ready, now);
    },
  });
  for (const { rank, status, reason } of cluster.data.nodes) {
    if (status === "exited") cli.say(`Rank ${rank}: ${reason} See: volley logs ${cluster.id} --rank ${rank}`);
  }
}

/**
 * Reserves, pays and waits until every rank is ready. Whatever goes wrong on the way, or is interrupted, the cluster
 * is torn down before this throws.
 */
export async function rent(cli: Cli, args: Args): Promise<ClusterHandle> {
  const isFromBalance = textOf(args, "rail") === "balance";
  const wallet = isFromBalance ? null : await walletOf(cli, args);
  const quote = await getQuote(cli, args);
  // Not given up half-way: an answer that nobody reads could be of a cluster that runs and costs.
  const cluster = await cli.client().clusters.reserve({
    ...(paramsOf(RESERVE_FIELDS, args) as Omit<ClustersReserveParams, "quoteToken">),
    quote,
    pay: isFromBalance ? "balance" : undefined,
    refundAddress: textOf(args, "refund-to") ?? wallet?.address,
  });
  try {
    await cli.remember({ ...cluster.data, secret: cluster.secret });
    cli.say(`Reserved ${cluster.id}.`);
    cli.signal.throwIfAborted();
    await payAndWait(cli, args, cluster, quote, wallet);
    return cluster;
  } catch (error) {
    await endAfterFailure(cli, cluster);
    throw error;
  }
}

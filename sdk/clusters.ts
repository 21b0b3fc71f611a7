/** Reserving and attaching: how a {@link ClusterHandle} comes to be. */
import type { Volley } from "./client.ts";
import { ClusterHandle, type Pay } from "./cluster-handle.ts";
import { VolleyError } from "./errors.ts";
import type { Cluster, ClustersReserveParams, Quote } from "./generated.ts";
import type { RequestOptions } from "./request-options.ts";

export type ReserveParams = Omit<ClustersReserveParams, "quoteToken" | "refundAddress"> & {
  /** Pays at once: by itself, or from the account's balance. Without it, `handle.data.payment` says how to pay. */
  pay?: Pay | "balance" | undefined;
  /** Solana wallet that gets unused money back. Default: what `pay` names. Null: the rest stays credit. */
  refundAddress?: string | null | undefined;
} & ({ quote: Quote; quoteToken?: undefined } | { quoteToken: string; quote?: undefined });

/** Paying failed. The cluster has been torn down; money that still arrives becomes credit of `cluster`. */
export class PaymentFailedError extends VolleyError {
  override name = "PaymentFailedError";
  /** Holds the secret that opens the credit. */
  readonly cluster: ClusterHandle;
  /** Why the teardown failed too; null when it did not. Call `cluster.teardown()` again then. */
  readonly teardownError: unknown;

  constructor(cluster: ClusterHandle, cause: unknown, teardownError: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const rest = teardownError === null ? "it has been torn down" : "tearing it down failed as well";
    super(`Paying for cluster ${cluster.id} failed (${reason}); ${rest}.`, { cause });
    this.cluster = cluster;
    this.teardownError = teardownError;
  }
}

async function payFor(
  handle: ClusterHandle,
  pay: Pay,
  quote: Quote | undefined,
  options: RequestOptions,
): Promise<void> {
  const { amount } = handle.data.payment;
  if (quote !== undefined && amount.amount !== quote.total.amount) {
    throw new VolleyError(`the payment asks for ${amount.amount} USDC, but the quote was ${quote.total.amount}`);
  }
  await pay(handle.data.payment, { signal: options.signal });
}

/** @returns why it failed, or null */
async function tearDownAfterFailure(handle: ClusterHandle): Promise<unknown> {
  try {
    await handle.teardown();
    return null;
  } catch (error) {
    return error;
  }
}

export async function reserveCluster(
  client: Volley,
  reserve: (params: ClustersReserveParams, options?: RequestOptions) => Promise<Cluster>,
  params: ReserveParams,
  options: RequestOptions = {},
): Promise<ClusterHandle> {
  const { quote, quoteToken, pay: way, ...others } = params;
  const pay = way === "balance" ? undefined : way;
  const { refundAddress = pay?.refundAddress, ...rest } =
    way === "balance" ? { ...others, payment: { ...others.payment, rail: way } } : others;
  const token = quote?.token ?? quoteToken;
  if (token === undefined) throw new TypeError("reserving takes a quote or a quoteToken");
  const cluster = await reserve({ ...rest, quoteToken: token, refundAddress: refundAddress ?? undefined }, options);
  const handle = new ClusterHandle(client, cluster, cluster.secret);
  if (pay === undefined) return handle;
  try {
    await payFor(handle, pay, quote, options);
    return handle;
  } catch (error) {
    throw new PaymentFailedError(handle, error, await tearDownAfterFailure(handle));
  }
}

/** @throws {NotFoundError} when the secret doesn't open such a cluster */
export async function attachCluster(
  client: Volley,
  id: string,
  secret: string,
  options: RequestOptions = {},
): Promise<ClusterHandle> {
  const cluster = await client.clusters.get(id, { ...options, secret });
  return new ClusterHandle(client, cluster, secret);
}

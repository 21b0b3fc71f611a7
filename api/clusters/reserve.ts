import { type Cluster, type InputOf, type Operations, type OutputOf, VolleyError } from "@volley/schema";
import { and, eq, gt, sql } from "drizzle-orm";
import type { Context } from "../context.ts";
import { rows, sqlState } from "../db/database.ts";
import { requireStorableText } from "../db/storable-text.ts";
import { clusters, idempotencyKeys } from "../db/tables.ts";
import { type IdempotencyRecord, idempotencyRecord } from "../idempotency/key.ts";
import { accountOfSession } from "../identity/account-of-session.ts";
import { requireWalletAddress } from "../identity/require-wallet-address.ts";
import { requireAllowedAddress } from "../identity/screen-address.ts";
import type { QuotePayload } from "../market/quote-payload.ts";
import { verifyQuote } from "../market/quote-token.ts";
import { awaitSettlement } from "../payments/x402/await-settlement.ts";
import { type ReadPayment, readPayment } from "../payments/x402/read-payment.ts";
import { buildReservation, reservationScope, SCOPE_PREFIX, totalOf } from "./build-reservation.ts";
import { clusterSecret } from "./cluster-secret.ts";
import { reservationRefused } from "./reservation-refused.ts";
import { toClusterResource } from "./to-cluster-resource.ts";
import { holdLimits, withinHolds } from "./unpaid-holds.ts";

type Reserve = Operations["clusters.reserve"];

type Answer =
  | { readonly outcome: "reserved" }
  | { readonly outcome: "replayed"; readonly response: { readonly body: string } }
  | { readonly outcome: "mismatch" };

/**
 * Claims the quoted machines, all or none, for as long as the payment may take. Everything happens in one round trip
 * to the database (`api/db/functions/reserve.sql`), where the constraints decide.
 * @throws {VolleyError} `quote_invalid`, `quote_expired`, `quote_used`, `capacity_gone`, `address_invalid`,
 * `holds_exceeded`, `invalid_field`, `address_refused`, `idempotency_*`; by x402 also `payment_required`, `payment_invalid`,
 * `payment_used`, `payment_failed`
 */
export async function reserveCluster(ctx: Context, input: InputOf<Reserve>): Promise<OutputOf<Reserve>> {
  const payable = withoutEvidence(input);
  const record = idempotencyRecord(ctx, "clusters.reserve", payable);
  if (record === null) throw new TypeError("reserving requires an Idempotency-Key");
  requireStorableText(input);
  if (input.refund_address !== undefined) {
    requireWalletAddress(ctx.settings, input.refund_address);
    const asked = { address: input.refund_address, subject: "refund_address", reference: record.key } as const;
    await requireAllowedAddress(ctx, ctx.db, asked);
  }
  requireRail(ctx, input);
  const quote = verifyQuote(input.quote_token, ctx.settings.quoteKeys);

  const { rail, x402_payload } = input.payment;
  let sponsored: ReadPayment | null = null;
  if (rail === "x402") {
    const known = (await findReservation(ctx, record)) ?? (await findByQuote(ctx, record, quote.id));
    if (known !== null) return await whenSettled(ctx, record, known);
    const request = { operation: "clusters.reserve", input: payable, amountMicroUsdc: totalOf(quote) } as const;
    sponsored = await readPayment(ctx, request, x402_payload);
  }
  const limits = rail === "balance" ? null : await holdLimits(ctx, quote.wish.gpu);
  const { request, cluster, secret } = buildReservation(ctx, input, quote, record, limits, sponsored);
  const answer = await withinHolds(ctx, limits, quote.wish, () => claim(ctx, quote, request));
  switch (answer.outcome) {
    case "reserved":
      for (const rank of quote.ranks) ctx.market.take(rank.nodeId, quote.wish.gpus_per_node);
      ctx.hints.notify("tasks");
      return rail === "x402" ? await whenSettled(ctx, record, cluster) : { ...cluster, secret };
    case "replayed": {
      const first: Cluster = JSON.parse(answer.response.body);
      if (rail === "x402") return await whenSettled(ctx, record, first);
      return { ...first, secret: secret === null ? null : clusterSecret(ctx.settings, first.id) };
    }
    case "mismatch":
      throw mismatch();
  }
}

const mismatch = () =>
  new VolleyError("idempotency_mismatch", "This Idempotency-Key was used for another reservation.", {
    nextAction: "Send a fresh key for a new reservation; repeat one with its contents unchanged.",
  });

/** An x402 client sends the same request twice, the second time with its payment: it is one request. */
function withoutEvidence(input: InputOf<Reserve>): InputOf<Reserve> {
  return { ...input, payment: { rail: input.payment.rail } };
}

/** The reservation that the request has made before. It was paid for, so neither its payment nor its quote is asked for again. */
async function findReservation(ctx: Context, { key, fingerprint }: IdempotencyRecord): Promise<Cluster | null> {
  const isIt = and(eq(idempotencyKeys.scope, reservationScope(ctx)), eq(idempotencyKeys.key, key));
  const [stored] = await ctx.db
    .select()
    .from(idempotencyKeys)
    .where(and(isIt, gt(idempotencyKeys.expiresAt, ctx.clock.nowMs())));
  if (stored === undefined) return null;
  if (stored.fingerprint !== fingerprint) throw mismatch();
  const { body } = stored.response as { body: string };
  return JSON.parse(body);
}

/**
 * What the same request has made from another network address or by another session of the account, as the SQL
 * function finds it too: its payer has no money left for it and must not be told that nothing was charged.
 */
async function findByQuote(
  ctx: Context,
  { key, fingerprint }: IdempotencyRecord,
  quoteId: string,
): Promise<Cluster | null> {
  const account = ctx.actor.kind === "bearer" ? accountOfSession(ctx, ctx.actor.tokenHash) : sql`NULL`;
  const [stored] = await rows<{ body: string }>(
    ctx.db,
    sql`SELECT idempotency_keys.response->>'body' AS body FROM clusters
        JOIN idempotency_keys ON idempotency_keys.scope IN (
            SELECT ${SCOPE_PREFIX} || clusters.caller_hash
            UNION ALL
            SELECT ${SCOPE_PREFIX} || sessions.token_hash FROM sessions
            WHERE sessions.customer_id = clusters.customer_id AND clusters.customer_id IN (${account}))
          AND idempotency_keys.key = ${key} AND idempotency_keys.fingerprint = ${fingerprint}
          AND idempotency_keys.expires_at > ${ctx.clock.nowMs()}::bigint
        WHERE clusters.quote_id = ${quoteId}`,
  );
  return stored === undefined ? null : JSON.parse(stored.body);
}

/**
 * The cluster as it is once its payment has settled, so that one answer holds all that an x402 client needs. The first
 * such answer is stored in the place of the one that was made when reserving, and later requests get it too.
 */
async function whenSettled(ctx: Context, record: IdempotencyRecord, stored: Cluster): Promise<Cluster> {
  const { id } = stored;
  const secret = ctx.actor.kind === "bearer" ? null : clusterSecret(ctx.settings, id);
  if (stored.payment.status === "settled") return { ...stored, secret };
  await awaitSettlement(ctx, id);
  const [row] = await ctx.db.select().from(clusters).where(eq(clusters.id, id));
  if (row === undefined) throw new Error(`cluster ${id} is gone`);
  const now = await toClusterResource(ctx, row);
  return { ...(now.payment.status === "settled" ? await storeSettled(ctx, record, now) : now), secret };
}

async function storeSettled(ctx: Context, record: IdempotencyRecord, now: Cluster): Promise<Cluster> {
  const { scope, key } = { scope: reservationScope(ctx), key: record.key };
  const stored = await ctx.db
    .update(idempotencyKeys)
    .set({ response: { body: JSON.stringify(now) } })
    .where(
      and(
        eq(idempotencyKeys.scope, scope),
        eq(idempotencyKeys.key, key),
        sql`(response->>'body')::jsonb->'payment'->>'status' <> 'settled'`,
      ),
    )
    .returning({ key: idempotencyKeys.key });
  return stored.length > 0 ? now : ((await findReservation(ctx, record)) ?? now);
}

async function claim(ctx: Context, quote: QuotePayload, request: object): Promise<Answer> {
  const sql = ctx.db.$client;
  try {
    const [row] = await sql<[{ answer: Answer }]>`
      SELECT reserve_cluster(${JSON.stringify(request)}::text::jsonb) AS answer`;
    return row.answer;
  } catch (error) {
    const state = sqlState(error);
    throw state === null ? error : ((await reservationRefused(ctx, quote, state)) ?? error);
  }
}

function requireRail(ctx: Context, input: InputOf<Reserve>): void {
  const { rail } = input.payment;
  if (rail === "stripe") {
    throw new VolleyError("rail_unavailable", "A card doesn't pay for a cluster; it tops up an account's balance.", {
      nextAction: "Top up with topups.create, then reserve with the rail balance.",
    });
  }
  if (rail !== "x402" && input.payment.x402_payload !== undefined) {
    const message = "goes with the rail x402 alone";
    throw new VolleyError("invalid_field", `payment.x402_payload ${message}.`, {
      errors: [{ pointer: "/payment/x402_payload", code: "invalid_field", message }],
    });
  }
  if (rail !== "balance") return;
  if (ctx.actor.kind !== "bearer") {
    throw new VolleyError("unauthenticated", "Only an account has a balance to pay from.", {
      nextAction: "Sign in with auth.challenge and auth.session, and send the session's token.",
    });
  }
  if (input.refund_address !== undefined) {
    const message = "goes with money that comes on chain; what a balance pays and isn't used stays in it";
    throw new VolleyError("invalid_field", `refund_address ${message}.`, {
      errors: [{ pointer: "/refund_address", code: "invalid_field", message }],
    });
  }
}

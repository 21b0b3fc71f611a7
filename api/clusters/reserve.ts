import { type Cluster, type InputOf, type Operations, type OutputOf, VolleyError } from "@volley/schema";
import type { Context } from "../context.ts";
import { sqlState } from "../db/database.ts";
import { requireStorableText } from "../db/storable-text.ts";
import { idempotencyRecord } from "../idempotency/key.ts";
import { requireWalletAddress } from "../identity/require-wallet-address.ts";
import type { QuotePayload } from "../market/quote-payload.ts";
import { verifyQuote } from "../market/quote-token.ts";
import { buildReservation } from "./build-reservation.ts";
import { clusterSecret } from "./cluster-secret.ts";
import { reservationRefused } from "./reservation-refused.ts";
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
 * `holds_exceeded`, `invalid_field`, `idempotency_*`
 */
export async function reserveCluster(ctx: Context, input: InputOf<Reserve>): Promise<OutputOf<Reserve>> {
  const record = idempotencyRecord(ctx, "clusters.reserve", input);
  if (record === null) throw new TypeError("reserving requires an Idempotency-Key");
  requireStorableText(input);
  if (input.refund_address !== undefined) requireWalletAddress(ctx.settings, input.refund_address);
  requireRail(ctx, input);
  const quote = verifyQuote(input.quote_token, ctx.settings.quoteKeys);

  const limits = input.payment.rail === "balance" ? null : await holdLimits(ctx, quote.wish.gpu);
  const { request, cluster, secret } = buildReservation(ctx, input, quote, record, limits);
  const answer = await withinHolds(ctx, limits, quote.wish, () => claim(ctx, quote, request));
  switch (answer.outcome) {
    case "reserved":
      for (const rank of quote.ranks) ctx.market.take(rank.nodeId, quote.wish.gpus_per_node);
      ctx.hints.notify("tasks");
      return { ...cluster, secret };
    case "replayed": {
      const first: Cluster = JSON.parse(answer.response.body);
      return { ...first, secret: secret === null ? null : clusterSecret(ctx.settings, first.id) };
    }
    case "mismatch":
      throw new VolleyError("idempotency_mismatch", "This Idempotency-Key was used for another reservation.", {
        nextAction: "Send a fresh key for a new reservation; repeat one with its contents unchanged.",
      });
  }
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
  if (rail === "x402") {
    throw new VolleyError("rail_unavailable", "This deployment takes no x402 payments.", {
      nextAction: "Reserve with the rail solana_pay.",
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

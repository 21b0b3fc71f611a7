import { type Money, toMoney } from "@volley/schema/money";
import type { Quote } from "@volley/schema/resources/market";
import { toTimestamp } from "@volley/schema/time";
import { bill, meanRateMicroUsdc } from "./price.ts";
import type { QuotedRank, QuotePayload } from "./quote-payload.ts";

const PPM = 1_000_000;

/** What a quote's token says, as the contract shows it: the same for whoever makes, checks or uses the quote. */
export function toQuoteResource(payload: QuotePayload, token: string): Quote {
  const { wish, ranks, feeBps } = payload;
  const uses = ranks.map(({ rateMicroUsdcPerGpuHour }) => ({
    rateMicroUsdcPerGpuHour,
    gpus: wish.gpus_per_node,
    seconds: wish.duration_seconds,
  }));
  const charges = bill(uses, feeBps);
  return {
    id: payload.id,
    object: "quote",
    token,
    created_at: toTimestamp(payload.createdAtMs),
    expires_at: toTimestamp(payload.expiresAtMs),
    gpu: wish.gpu,
    nodes: wish.nodes,
    gpus_per_node: wish.gpus_per_node,
    duration_seconds: wish.duration_seconds,
    price_per_gpu_hour: toMoney(meanRateMicroUsdc(ranks.map((rank) => rank.rateMicroUsdcPerGpuHour))),
    lines: [
      {
        kind: "compute",
        description: `${describeShape(wish)} for ${wish.duration_seconds} s`,
        amount: toMoney(charges.computeMicroUsdc),
      },
      {
        kind: "platform_fee",
        description: `Platform fee of ${feeBps / 100} % on compute`,
        amount: toMoney(charges.platformFeeMicroUsdc),
      },
    ],
    total: toMoney(charges.totalMicroUsdc),
    plan: ranks.map((rank, number) => planRank(rank, number)),
    rtt_ms_max: Math.round(payload.rttMsMax * 1000) / 1000,
    alternatives: [],
  };
}

function describeShape(wish: { readonly nodes: number; readonly gpus_per_node: number; readonly gpu: string }): string {
  return `${wish.nodes} × ${wish.gpus_per_node} × ${wish.gpu}`;
}

function planRank(rank: QuotedRank, number: number): Quote["plan"][number] {
  return {
    rank: number,
    country: rank.country,
    region: rank.region,
    interconnect: rank.interconnect,
    reliability: rank.reliabilityPpm / PPM,
    isolation: rank.isolation,
    supplier_class: rank.supplierClass,
    price_per_gpu_hour: toMoney(rank.rateMicroUsdcPerGpuHour) satisfies Money,
  };
}

import { gpuModel } from "@volley/schema/gpus";
import { toMoney } from "@volley/schema/money";
import type { Quote } from "@volley/schema/resources/market";
import { toTimestamp } from "@volley/schema/time";
import { bill, meanRateMicroUsdc } from "./price.ts";
import type { QuotePayload } from "./quote-payload.ts";

const PPM = 1_000_000;
const BPS_PER_PERCENT = 100;

/** The quote that a token says, whole: nothing but the payload and the token goes in. */
export function toQuoteResource(payload: QuotePayload, token: string): Quote {
  const { wish, ranks, feeBps } = payload;
  const charges = bill(
    ranks.map(({ rateMicroUsdcPerGpuHour }) => ({
      rateMicroUsdcPerGpuHour,
      gpus: wish.gpus_per_node,
      seconds: wish.duration_seconds,
    })),
    feeBps,
  );
  const name = gpuModel(wish.gpu)?.name ?? wish.gpu;
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
        description: `${wish.nodes} × ${wish.gpus_per_node} × ${name} for ${wish.duration_seconds} s`,
        amount: toMoney(charges.computeMicroUsdc),
      },
      {
        kind: "platform_fee",
        description: `Platform fee, ${feeBps / BPS_PER_PERCENT} % of compute`,
        amount: toMoney(charges.platformFeeMicroUsdc),
      },
    ],
    total: toMoney(charges.totalMicroUsdc),
    plan: ranks.map((rank, index) => ({
      rank: index,
      country: rank.country,
      region: rank.region,
      interconnect: rank.interconnect,
      reliability: rank.reliabilityPpm / PPM,
      isolation: rank.isolation,
      supplier_class: rank.supplierClass,
      price_per_gpu_hour: toMoney(rank.rateMicroUsdcPerGpuHour),
    })),
    rtt_ms_max: payload.rttMsMax,
    alternatives: [],
  };
}

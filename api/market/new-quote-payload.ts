/** From a placement to what its quote promises. */
import type { Id } from "@volley/schema/ids";
import {
  INTERCONNECTS,
  type Interconnect,
  ISOLATIONS,
  type Isolation,
  SUPPLIER_CLASSES,
  type SupplierClass,
} from "@volley/schema/resources/market";
import { type Context, newId } from "../context.ts";
import type { NetworkIndex } from "./index/network-index.ts";
import type { Placement } from "./placement.ts";
import { fitRegions, type QuotedRank, type QuotePayload } from "./quote-payload.ts";
import type { Wish } from "./wish.ts";

export function newQuotePayload(
  ctx: Pick<Context, "clock" | "random" | "settings">,
  index: NetworkIndex,
  wish: Wish,
  placement: Placement,
): QuotePayload {
  const createdAtMs = ctx.clock.nowMs();
  return {
    id: newId(ctx, "quote"),
    createdAtMs,
    expiresAtMs: createdAtMs + ctx.settings.quoteLifetimeSeconds * 1000,
    feeBps: ctx.settings.platformFeeBps,
    wish,
    ranks: fitRegions(placement.rows.map((row) => quotedRank(index, row))),
    rttMsMax: placement.rttMsMax,
  };
}

function quotedRank(index: NetworkIndex, row: number): QuotedRank {
  const { columns } = index;
  return {
    nodeId: columns.ids[row] as Id<"node">,
    rateMicroUsdcPerGpuHour: BigInt(columns.price[row] as number),
    country: index.countries.values[columns.country[row] as number] as string,
    region: index.regions.values[columns.region[row] as number] as string,
    interconnect: INTERCONNECTS[columns.interconnect[row] as number] as Interconnect,
    reliabilityPpm: columns.reliability[row] as number,
    isolation: ISOLATIONS[columns.isolation[row] as number] as Isolation,
    supplierClass: SUPPLIER_CLASSES[columns.supplierClass[row] as number] as SupplierClass,
  };
}

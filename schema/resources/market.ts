import { z } from "zod";
import { idOutput } from "../ids.ts";
import { moneySchema } from "../money.ts";
import { timestampSchema } from "../time.ts";

/** From the slowest link to the fastest; a wish for one is met by it or anything faster. */
export const INTERCONNECTS = ["ethernet", "thunderbolt", "roce", "infiniband", "nvlink"] as const;
export const interconnectSchema = z.enum(INTERCONNECTS).meta({ id: "Interconnect" });

/** From the weakest wall between tenants to the strongest; a wish for one is met by it or anything stronger. */
export const ISOLATIONS = ["process", "container", "gvisor", "vm"] as const;
export const isolationSchema = z.enum(ISOLATIONS).meta({ id: "Isolation" });

export const SUPPLIER_CLASSES = ["network", "upstream"] as const;
export const supplierClassSchema = z.enum(SUPPLIER_CLASSES).meta({ id: "SupplierClass" });

export const PREFERENCES = ["price", "speed", "proximity"] as const;
export const preferenceSchema = z.enum(PREFERENCES).meta({ id: "Preference" });

export const gpuSchema = z
  .object({
    object: z.literal("gpu"),
    gpu: z.string().describe("Slug that quotes and offers take, such as h100-sxm-80gb."),
    name: z.string(),
    vendor: z.enum(["nvidia", "amd", "apple", "intel", "none"]),
    architecture: z.string(),
    vram_gib: z.number(),
    gpus_total: z.number().int(),
    gpus_available: z.number().int(),
    nodes_available: z.number().int(),
    price_per_gpu_hour_min: moneySchema.nullable(),
    price_per_gpu_hour_max: moneySchema.nullable(),
  })
  .meta({ id: "Gpu" });

export const offerSchema = z
  .object({
    object: z.literal("offer"),
    node_id: idOutput("node"),
    gpu: z.string(),
    gpus_available: z.number().int(),
    gpus_total: z.number().int(),
    price_per_gpu_hour: moneySchema,
    country: z.string(),
    region: z.string(),
    interconnect: interconnectSchema,
    reliability: z.number(),
    isolation: isolationSchema,
    supplier_class: supplierClassSchema,
    cpu_cores: z.number().int(),
    memory_gib: z.number().int(),
    disk_gib: z.number().int(),
  })
  .meta({ id: "Offer" });

const countSchema = z
  .object({ key: z.string(), nodes: z.number().int(), gpus: z.number().int(), gpus_available: z.number().int() })
  .meta({ id: "NetworkCount" });

export const networkSchema = z
  .object({
    object: z.literal("network"),
    nodes: z.number().int(),
    gpus: z.number().int(),
    gpus_available: z.number().int(),
    utilisation: z.number().describe("Share of GPUs that are rented, 0 to 1."),
    countries: z.array(countSchema),
    models: z.array(countSchema),
    supplier_classes: z.array(countSchema),
  })
  .meta({ id: "Network" });

export const quoteLineSchema = z
  .object({ kind: z.enum(["compute", "platform_fee"]), description: z.string(), amount: moneySchema })
  .meta({ id: "QuoteLine" });

export const planRankSchema = z
  .object({
    rank: z.number().int(),
    country: z.string(),
    region: z.string(),
    interconnect: interconnectSchema,
    reliability: z.number(),
    isolation: isolationSchema,
    supplier_class: supplierClassSchema,
    price_per_gpu_hour: moneySchema,
  })
  .meta({ id: "PlanRank" });

/** What the wish would have to give up to be met. */
export const alternativeSchema = z
  .object({
    constraint: z.string().describe("The input field that stood in the way."),
    description: z.string(),
    gpu: z.string(),
    nodes: z.number().int(),
    gpus_per_node: z.number().int(),
    price_per_gpu_hour: moneySchema,
    total: moneySchema,
  })
  .meta({ id: "Alternative" });

export const quoteSchema = z
  .object({
    id: idOutput("quote"),
    object: z.literal("quote"),
    token: z.string().describe("Pass this to clusters.reserve. Holds plan and price, signed."),
    created_at: timestampSchema,
    expires_at: timestampSchema,
    gpu: z.string(),
    nodes: z.number().int(),
    gpus_per_node: z.number().int(),
    duration_seconds: z.number().int(),
    price_per_gpu_hour: moneySchema.describe("Mean over the ranks, fee excluded."),
    lines: z.array(quoteLineSchema),
    total: moneySchema,
    plan: z.array(planRankSchema),
    rtt_ms_max: z.number().describe("Estimated worst round trip between two ranks, in milliseconds."),
    alternatives: z.array(alternativeSchema).describe("Other clusters worth a look."),
  })
  .meta({ id: "Quote" });

export const quoteCheckSchema = z
  .object({
    object: z.literal("quote_check"),
    quote: quoteSchema,
    holds: z.boolean(),
    reason: z.enum(["holds", "expired", "used", "capacity_gone"]),
  })
  .meta({ id: "QuoteCheck" });

export type Gpu = z.infer<typeof gpuSchema>;
export type Offer = z.infer<typeof offerSchema>;
export type Network = z.infer<typeof networkSchema>;
export type Quote = z.infer<typeof quoteSchema>;
export type QuoteCheck = z.infer<typeof quoteCheckSchema>;
export type Alternative = z.infer<typeof alternativeSchema>;
export type Interconnect = z.infer<typeof interconnectSchema>;
export type Isolation = z.infer<typeof isolationSchema>;
export type SupplierClass = z.infer<typeof supplierClassSchema>;
export type Preference = z.infer<typeof preferenceSchema>;

import { z } from "zod";
import { usdcInputSchema } from "../money.ts";
import { defineOperation } from "../operation.ts";
import { pageFields, pageOf } from "../pages.ts";
import {
  gpuSchema,
  INTERCONNECTS,
  ISOLATIONS,
  networkSchema,
  offerSchema,
  PREFERENCES,
  quoteCheckSchema,
  quoteSchema,
  SUPPLIER_CLASSES,
} from "../resources/market.ts";

export const NODES_MAX = 1024;
export const GPUS_PER_NODE_MAX = 64;
export const QUOTE_TOKEN_LENGTH_MAX = 65_536;

const countryCode = z.string().regex(/^[A-Z]{2}$/, "must be an ISO 3166-1 alpha-2 code such as DE");
/** A list in the query string is separated by commas. */
const countryList = z.preprocess(
  (value) => (typeof value === "string" ? value.split(",") : value),
  z.array(countryCode).min(1).max(250),
);
const regionList = z.preprocess(
  (value) => (typeof value === "string" ? value.split(",") : value),
  z.array(z.string().min(1).max(64)).min(1).max(50),
);
const gpuSlug = z.string().min(1).max(64).describe("Slug or unambiguous short form: h100-sxm-80gb, h100-sxm.");

/** Range checks with codes of their own (`size_out_of_range`, `duration_out_of_range`) are the verb's. */
const wishFields = {
  gpu: gpuSlug,
  gpus_per_node: z.number().int().default(1),
  nodes: z.number().int().default(1),
  duration_seconds: z.number().int(),
  countries: countryList.optional(),
  regions: regionList.optional(),
  interconnect: z.enum(INTERCONNECTS).optional().describe("At least this fast."),
  max_rtt_ms: z.number().positive().max(1000).optional().describe("Between any two ranks, estimated."),
  min_reliability: z.number().min(0).max(1).optional(),
  isolation: z.enum(ISOLATIONS).optional().describe("At least this strong."),
  supplier_class: z.enum(SUPPLIER_CLASSES).optional(),
  max_price_per_gpu_hour: usdcInputSchema.optional(),
  min_cpu_cores: z.number().int().min(1).max(4096).optional(),
  min_memory_gib: z.number().int().min(1).max(65_536).optional(),
  min_disk_gib: z.number().int().min(1).max(1_048_576).optional(),
  prefer: z.enum(PREFERENCES).default("price"),
};

export const gpusList = defineOperation({
  id: "gpus.list",
  summary: "GPU models on the network now",
  method: "GET",
  path: "/v1/gpus",
  graphql: { kind: "query", field: "gpus" },
  input: z.strictObject({ ...pageFields }),
  output: pageOf(gpuSchema, "GpuPage"),
  errors: ["invalid_cursor", "unavailable"],
  scope: "none",
  idempotency: "none",
  rateLimit: "read",
});

export const offersList = defineOperation({
  id: "offers.list",
  summary: "Rentable machines, cheapest first",
  method: "GET",
  path: "/v1/offers",
  graphql: { kind: "query", field: "offers" },
  input: z.strictObject({
    gpu: gpuSlug.optional(),
    gpus: z.coerce.number().int().min(1).max(GPUS_PER_NODE_MAX).default(1).describe("Free GPUs on one machine."),
    nodes: z.coerce
      .number()
      .int()
      .min(1)
      .max(NODES_MAX)
      .default(1)
      .describe("Only machines of models that have this many matching machines."),
    countries: countryList.optional(),
    regions: regionList.optional(),
    interconnect: z.enum(INTERCONNECTS).optional(),
    min_reliability: z.coerce.number().min(0).max(1).optional(),
    isolation: z.enum(ISOLATIONS).optional(),
    supplier_class: z.enum(SUPPLIER_CLASSES).optional(),
    max_price_per_gpu_hour: usdcInputSchema.optional(),
    min_cpu_cores: z.coerce.number().int().min(1).max(4096).optional(),
    min_memory_gib: z.coerce.number().int().min(1).max(65_536).optional(),
    min_disk_gib: z.coerce.number().int().min(1).max(1_048_576).optional(),
    ...pageFields,
  }),
  output: pageOf(offerSchema, "OfferPage"),
  errors: ["invalid_cursor", "unknown_gpu", "unavailable"],
  scope: "none",
  idempotency: "none",
  rateLimit: "read",
});

export const networkGet = defineOperation({
  id: "network.get",
  summary: "The network in figures",
  method: "GET",
  path: "/v1/network",
  graphql: { kind: "query", field: "network" },
  input: z.strictObject({}),
  output: networkSchema,
  errors: ["unavailable"],
  scope: "none",
  idempotency: "none",
  rateLimit: "read",
});

export const quotesCreate = defineOperation({
  id: "quotes.create",
  summary: "A firm price for a cluster",
  method: "POST",
  path: "/v1/quotes",
  graphql: { kind: "mutation", field: "createQuote" },
  input: z.strictObject(wishFields),
  output: quoteSchema,
  status: 201,
  errors: [
    "unknown_gpu",
    "gang_impossible",
    "gang_unavailable",
    "price_above_cap",
    "size_out_of_range",
    "duration_out_of_range",
    "unavailable",
  ],
  scope: "none",
  idempotency: "none",
  rateLimit: "quote",
});

export const quotesGet = defineOperation({
  id: "quotes.get",
  summary: "Decodes a quote token and says whether it still holds",
  method: "GET",
  path: "/v1/quotes/{token}",
  graphql: { kind: "query", field: "quote" },
  input: z.strictObject({ token: z.string().min(1).max(QUOTE_TOKEN_LENGTH_MAX) }),
  output: quoteCheckSchema,
  errors: ["quote_invalid", "unavailable"],
  scope: "none",
  idempotency: "none",
  rateLimit: "read",
});

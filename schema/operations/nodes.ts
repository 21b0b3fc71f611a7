import { z } from "zod";
import { idSchema } from "../ids.ts";
import { usdcInputSchema } from "../money.ts";
import { defineOperation } from "../operation.ts";
import { INTERCONNECTS, ISOLATIONS } from "../resources/market.ts";
import {
  assignmentsSchema,
  executionExitSchema,
  heartbeatSchema,
  inventoryFields,
  leaseObservationSchema,
  nodeSchema,
  OUTPUT_CHUNKS_MAX,
  outputChunkSchema,
  reportResultSchema,
} from "../resources/node.ts";

/** It goes into the host tables of other machines' containers, where a name or a second line would be an attack. */
const machineAddress = z
  .string()
  .max(45)
  .refine((text) => z.ipv4().safeParse(text).success || z.ipv6().safeParse(text).success, "must be an IP address")
  .describe("IP address at which ranks on other machines reach this one.");

export const nodesEnrol = defineOperation({
  id: "nodes.enrol",
  summary: "Joins a machine to the network with a single-use token",
  method: "POST",
  path: "/v1/nodes",
  graphql: { kind: "mutation", field: "enrolNode" },
  input: z.strictObject({
    enrolment_token: z.string().min(16).max(200),
    public_key: z.string().regex(/^[A-Za-z0-9_-]{43}$/, "must be an Ed25519 public key in base64url"),
    inventory: z.strictObject(inventoryFields).meta({ id: "Inventory" }),
    price_per_gpu_hour: usdcInputSchema,
    country: z.string().regex(/^[A-Z]{2}$/, "must be an ISO 3166-1 alpha-2 code such as DE"),
    region: z.string().min(1).max(64),
    latitude: z.number().min(-90).max(90),
    longitude: z.number().min(-180).max(180),
    interconnect: z.enum(INTERCONNECTS).default("ethernet"),
    isolation: z.enum(ISOLATIONS),
    advertise_address: machineAddress.optional(),
  }),
  output: nodeSchema,
  status: 201,
  errors: ["enrolment_token_invalid", "unknown_gpu"],
  scope: "none",
  idempotency: "none",
  rateLimit: "node",
});

export const nodesGet = defineOperation({
  id: "nodes.get",
  summary: "A supplier's machine as anyone may see it",
  method: "GET",
  path: "/v1/nodes/{id}",
  graphql: { kind: "query", field: "node" },
  input: z.strictObject({ id: idSchema("node") }),
  output: nodeSchema,
  errors: ["not_found"],
  scope: "none",
  idempotency: "none",
  rateLimit: "read",
});

export const nodesHeartbeat = defineOperation({
  id: "nodes.heartbeat",
  summary: "Says that the machine is alive and what runs on it",
  method: "POST",
  path: "/v1/nodes/{id}/heartbeat",
  graphql: { kind: "mutation", field: "heartbeatNode" },
  input: z.strictObject({
    id: idSchema("node"),
    leases: z
      .array(leaseObservationSchema)
      .max(256)
      .describe("Every lease seen on the machine; one that is missing here is absent."),
    draining: z.boolean().default(false),
  }),
  output: heartbeatSchema,
  errors: ["unauthenticated", "node_signature_invalid", "node_counter_replayed", "not_found"],
  scope: "node",
  idempotency: "none",
  rateLimit: "node",
});

export const nodesAssignments = defineOperation({
  id: "nodes.assignments",
  summary: "What should run on the machine; waits for a change",
  method: "GET",
  path: "/v1/nodes/{id}/assignments",
  graphql: { kind: "query", field: "nodeAssignments" },
  input: z.strictObject({
    id: idSchema("node"),
    after: z.string().max(100).optional(),
    wait_seconds: z.coerce.number().int().min(0).max(25).default(0),
  }),
  output: assignmentsSchema,
  errors: ["unauthenticated", "node_signature_invalid", "node_counter_replayed", "not_found"],
  scope: "node",
  idempotency: "none",
  rateLimit: "node",
});

export const nodesReport = defineOperation({
  id: "nodes.report",
  summary: "Delivers output, exit codes and changes of leases",
  method: "POST",
  path: "/v1/nodes/{id}/reports",
  graphql: { kind: "mutation", field: "reportNode" },
  input: z.strictObject({
    id: idSchema("node"),
    leases: z.array(leaseObservationSchema).max(256).default([]),
    chunks: z.array(outputChunkSchema).max(OUTPUT_CHUNKS_MAX).default([]),
    exits: z.array(executionExitSchema).max(256).default([]),
  }),
  output: reportResultSchema,
  errors: ["unauthenticated", "node_signature_invalid", "node_counter_replayed", "not_found"],
  scope: "node",
  idempotency: "none",
  rateLimit: "node",
});

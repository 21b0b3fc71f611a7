import { z } from "zod";
import { idOutput, idSchema } from "../ids.ts";
import { moneySchema } from "../money.ts";
import { timestampSchema } from "../time.ts";
import { interconnectSchema, isolationSchema, supplierClassSchema } from "./market.ts";

export const supplierSchema = z
  .object({
    id: idOutput("supplier"),
    object: z.literal("supplier"),
    name: z.string(),
    supplier_class: supplierClassSchema,
  })
  .meta({ id: "Supplier" });

/** A supplier's machine as anyone may see it. */
export const nodeSchema = z
  .object({
    id: idOutput("node"),
    object: z.literal("node"),
    status: z.enum(["online", "offline", "draining"]),
    gpu: z.string(),
    gpus_total: z.number().int(),
    gpus_available: z.number().int(),
    price_per_gpu_hour: moneySchema,
    country: z.string(),
    region: z.string(),
    interconnect: interconnectSchema,
    reliability: z.number(),
    isolation: isolationSchema,
    cpu_cores: z.number().int(),
    memory_gib: z.number().int(),
    disk_gib: z.number().int(),
    supplier_id: idOutput("supplier"),
    created_at: timestampSchema,
  })
  .meta({ id: "Node" });

/** What the agent says of the machine when it joins. */
export const inventoryFields = {
  gpu: z.string().min(1).max(64).describe("Slug of the GPU model, or cpu."),
  gpus: z.number().int().min(1).max(64).describe("Slots to rent: GPUs, or shares of the machine for cpu."),
  cpu_model: z.string().max(200),
  cpu_cores: z.number().int().min(1).max(4096),
  memory_gib: z.number().int().min(1).max(65536),
  disk_gib: z.number().int().min(1).max(1_048_576),
  gpu_uuids: z.array(z.string().max(100)).max(64).optional(),
  driver_version: z.string().max(100).optional(),
  os: z.string().max(50),
  arch: z.string().max(50),
};

export const LEASE_OBSERVATIONS = ["starting", "ready", "exited", "failed", "absent"] as const;

/** What a process can end with, on any system. */
const exitCode = z
  .number()
  .int()
  .min(-(2 ** 31))
  .max(2 ** 31 - 1);

/** What the agent sees of one lease on its machine. */
export const leaseObservationSchema = z
  .strictObject({
    lease_id: idSchema("lease"),
    state: z.enum(LEASE_OBSERVATIONS),
    exit_code: exitCode.optional(),
    reason: z.string().max(1000).optional().describe("Why it failed, in a sentence."),
  })
  .meta({ id: "LeaseObservation" });

export const peerSchema = z
  .object({ rank: z.number().int(), hostname: z.string(), address: z.string().nullable() })
  .meta({ id: "Peer" });

/** One lease that should exist on the machine, with all that is needed to start it. */
export const leaseAssignmentSchema = z
  .object({
    lease_id: idOutput("lease"),
    cluster_id: idOutput("cluster"),
    desired: z.enum(["running", "stopped"]),
    ends_at: timestampSchema.describe("The agent stops the workload then, whatever the control plane says."),
    rank: z.number().int(),
    world_size: z.number().int(),
    slots: z.array(z.number().int()),
    hostname: z.string(),
    peers: z.array(peerSchema),
    master_address: z.string().describe("Host name of rank 0."),
    master_port: z.number().int(),
    image: z.string().nullable(),
    startup_script: z.string().nullable(),
    env: z.record(z.string(), z.string()),
    cpu_cores: z.number(),
    memory_mib: z.number().int(),
    pids: z.number().int(),
  })
  .meta({ id: "LeaseAssignment" });

/** One command to run inside a lease that is up. */
export const executionRequestSchema = z
  .object({
    execution_id: idOutput("execution"),
    lease_id: idOutput("lease"),
    command: z.array(z.string()),
    stdin: z.string().nullable(),
    env: z.record(z.string(), z.string()),
    cancelled: z.boolean(),
  })
  .meta({ id: "ExecutionRequest" });

export const assignmentsSchema = z
  .object({
    object: z.literal("assignments"),
    revision: z.string().describe("Pass it as `after` to wait for the next change."),
    server_time: timestampSchema,
    leases: z.array(leaseAssignmentSchema),
    executions: z.array(executionRequestSchema),
  })
  .meta({ id: "Assignments" });

export const heartbeatSchema = z
  .object({
    object: z.literal("node_heartbeat"),
    server_time: timestampSchema,
    status: z.enum(["online", "offline", "draining"]),
    interval_seconds: z.number().int().describe("When to send the next one."),
  })
  .meta({ id: "NodeHeartbeat" });

export const OUTPUT_CHUNK_CHARACTERS_MAX = 90_000;
export const OUTPUT_CHUNKS_MAX = 100;

/** One piece of a lease's log (no execution_id) or of a command's output. Numbered from 0 without gaps per source. */
export const outputChunkSchema = z
  .strictObject({
    lease_id: idSchema("lease"),
    execution_id: idSchema("execution").optional(),
    sequence: z
      .number()
      .int()
      .min(0)
      .max(2 ** 31 - 2),
    stream: z.enum(["stdout", "stderr"]),
    data: z.string().max(OUTPUT_CHUNK_CHARACTERS_MAX),
    encoding: z.enum(["utf-8", "base64"]),
  })
  .meta({ id: "OutputChunk" });

export const executionExitSchema = z
  .strictObject({
    lease_id: idSchema("lease"),
    execution_id: idSchema("execution"),
    code: exitCode,
    reason: z.string().max(1000).optional(),
  })
  .meta({ id: "ExecutionExit" });

export const reportResultSchema = z
  .object({ object: z.literal("node_report"), accepted: z.number().int() })
  .meta({ id: "NodeReport" });

export type Supplier = z.infer<typeof supplierSchema>;
export type Node = z.infer<typeof nodeSchema>;
export type LeaseAssignment = z.infer<typeof leaseAssignmentSchema>;
export type ExecutionRequest = z.infer<typeof executionRequestSchema>;
export type Assignments = z.infer<typeof assignmentsSchema>;
export type LeaseObservation = z.infer<typeof leaseObservationSchema>;
export type OutputChunk = z.infer<typeof outputChunkSchema>;

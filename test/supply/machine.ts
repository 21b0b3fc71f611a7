/** A supplier's machine as its agent would act: with a key, counters, and contexts in which its requests arrive. */
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import type { Id } from "@volley/schema/ids";
import { type NodeChannel, nodeSignatureText } from "@volley/schema/node-signature";
import type { Context } from "../../api/context.ts";
import { enrolNode } from "../../api/supply/enrol-node.ts";
import { getAssignments } from "../../api/supply/get-assignments.ts";
import { heartbeatNode } from "../../api/supply/heartbeat-node.ts";
import { issueEnrolmentToken } from "../../api/supply/issue-enrolment-token.ts";
import { reportNode } from "../../api/supply/report-node.ts";
import { contextAs, type TestServices } from "../harness/services.ts";

export function newKey(): { publicKey: string; privateKey: KeyObject } {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const { x = "" } = publicKey.export({ format: "jwk" });
  return { publicKey: x, privateKey };
}

export function enrolmentInput(token: string, publicKey: string, slots = 4) {
  return {
    enrolment_token: token,
    public_key: publicKey,
    inventory: {
      gpu: "cpu",
      gpus: slots,
      cpu_model: "test",
      cpu_cores: 8,
      memory_gib: 16,
      disk_gib: 100,
      os: "linux",
      arch: "x64",
    },
    price_per_gpu_hour: "0.36",
    country: "DE",
    region: "test",
    latitude: 50,
    longitude: 8,
    interconnect: "ethernet" as const,
    isolation: "container" as const,
    advertise_address: "192.0.2.1",
  };
}

type Observation = Parameters<typeof heartbeatNode>[1]["leases"][number];
type Report = Parameters<typeof reportNode>[1];

export async function newMachine(services: TestServices, slots = 4) {
  const { token, supplierId } = await issueEnrolmentToken(services, {
    supplierName: "test",
    supplierClass: "network",
  });
  const { publicKey, privateKey } = newKey();
  const node = await enrolNode(contextAs(services, { kind: "anonymous" }), enrolmentInput(token, publicKey, slots));
  const id: Id<"node"> = node.id;
  const counters = { heartbeat: 0, assignments: 0, report: 0 };
  const machine = {
    id,
    supplierId,
    publicKey,
    counters,
    context: (channel: NodeChannel, counter = ++counters[channel], parts: Partial<Context> = {}) =>
      contextAs(services, { kind: "node", nodeId: id, channel, counter }, parts),
    sign: (channel: NodeChannel, counter: number, request: { method: string; path: string; bodySha256: string }) => ({
      nodeId: id,
      channel,
      counter,
      signature: sign(
        null,
        Buffer.from(nodeSignatureText({ ...request, nodeId: id, channel, counter })),
        privateKey,
      ).toString("base64url"),
    }),
    heartbeat: (leases: readonly Observation[] = [], draining = false) =>
      heartbeatNode(machine.context("heartbeat"), { id, leases: [...leases], draining }),
    assignments: (after?: string, waitSeconds = 0, parts: Partial<Context> = {}) =>
      getAssignments(machine.context("assignments", undefined, parts), {
        id,
        wait_seconds: waitSeconds,
        ...(after === undefined ? {} : { after }),
      }),
    report: (report: Partial<Omit<Report, "id">>) =>
      reportNode(machine.context("report"), { id, leases: [], chunks: [], exits: [], ...report }),
  };
  return machine;
}

export type Machine = Awaited<ReturnType<typeof newMachine>>;

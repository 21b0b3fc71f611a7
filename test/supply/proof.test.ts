import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { heartbeatNode } from "../../api/supply/heartbeat-node.ts";
import { verifyNodeProof } from "../../api/supply/verify-node-proof.ts";
import { createTestDatabase, type TestDatabase } from "../harness/database.ts";
import { bearer, contextAs, type TestServices, testServices } from "../harness/services.ts";
import { type Machine, newMachine } from "./machine.ts";

let database: TestDatabase;
let services: TestServices;
let machine: Machine;
let other: Machine;
beforeAll(async () => {
  database = await createTestDatabase(20);
  services = testServices(database);
  machine = await newMachine(services);
  other = await newMachine(services);
});
afterAll(() => database.close());

const body = '{"leases":[]}';
const request = () => ({
  method: "POST",
  path: `/v1/nodes/${machine.id}/heartbeat?x=1`,
  bodySha256: createHash("sha256").update(body).digest("hex"),
});

describe("a node's signature", () => {
  test("proves which node, channel and counter", async () => {
    const proof = machine.sign("heartbeat", 7, request());
    expect(await verifyNodeProof(services, proof, request())).toEqual({
      kind: "node",
      nodeId: machine.id,
      channel: "heartbeat",
      counter: 7,
    });
  });

  test("covers every part of the request", async () => {
    const proof = machine.sign("heartbeat", 7, request());
    const invalid = { code: "node_signature_invalid" };
    for (const change of [
      { method: "GET" },
      { path: `/v1/nodes/${machine.id}/reports` },
      { bodySha256: createHash("sha256").update("{}").digest("hex") },
    ]) {
      await expect(verifyNodeProof(services, proof, { ...request(), ...change })).rejects.toMatchObject(invalid);
    }
    for (const change of [
      { counter: 8 },
      { channel: "report" as const },
      { nodeId: other.id },
      { nodeId: "nd_01jmq8rx1rf3d9w4k1q3k3zzzz" },
      { nodeId: "cl_01jmq8rx1rf3d9w4k1q3k3zzzz" },
      { signature: "A".repeat(86) },
    ]) {
      await expect(verifyNodeProof(services, { ...proof, ...change }, request())).rejects.toMatchObject(invalid);
    }
  });
});

describe("a counter", () => {
  test("is good once, and then only higher ones are", async () => {
    const beat = (counter: number) =>
      heartbeatNode(machine.context("heartbeat", counter), { id: machine.id, leases: [], draining: false });
    await beat(10);
    await expect(beat(10)).rejects.toMatchObject({ code: "node_counter_replayed" });
    await expect(beat(9)).rejects.toMatchObject({ code: "node_counter_replayed" });
    await beat(11);
    machine.counters.heartbeat = 11;
  });

  test("used by many requests at once passes one of them", async () => {
    const tries = await Promise.allSettled(
      Array.from({ length: 16 }, () =>
        heartbeatNode(machine.context("heartbeat", 100), { id: machine.id, leases: [], draining: false }),
      ),
    );
    expect(tries.filter((one) => one.status === "fulfilled")).toHaveLength(1);
    machine.counters.heartbeat = 100;
  });

  test("counts within its channel alone", async () => {
    machine.counters.report = 0;
    machine.counters.assignments = 0;
    await machine.report({});
    await machine.assignments();
    machine.counters.report = 0;
    machine.counters.assignments = 0;
    await expect(machine.report({})).rejects.toMatchObject({ code: "node_counter_replayed" });
    await expect(machine.assignments()).rejects.toMatchObject({ code: "node_counter_replayed" });
  });
});

test("nobody but the node itself is let in, and another node is told nothing", async () => {
  const input = { id: machine.id, leases: [], draining: false };
  await expect(heartbeatNode(contextAs(services, { kind: "anonymous" }), input)).rejects.toMatchObject({
    code: "unauthenticated",
  });
  await expect(heartbeatNode(bearer(services, "some secret"), input)).rejects.toMatchObject({
    code: "unauthenticated",
  });
  await expect(heartbeatNode(other.context("heartbeat"), input)).rejects.toMatchObject({ code: "not_found" });
  await expect(heartbeatNode(machine.context("report", 1_000), input)).rejects.toMatchObject({
    code: "node_signature_invalid",
  });
});

import { OPERATIONS } from "@volley/schema";
import { count } from "drizzle-orm";
import { afterAll, beforeAll, expect, test } from "vitest";
import { outputChunks } from "../../api/db/tables.ts";
import { enrolNode } from "../../api/supply/enrol-node.ts";
import { issueEnrolmentToken } from "../../api/supply/issue-enrolment-token.ts";
import { OUTPUT_BYTES_PER_RANK_MAX } from "../../api/supply/store-output.ts";
import { createTestDatabase, type TestDatabase } from "../harness/database.ts";
import { contextAs, type TestServices, testServices } from "../harness/services.ts";
import { enrolmentInput, newKey, newMachine } from "./machine.ts";
import { leaseOf, startRental } from "./rental.ts";

let database: TestDatabase;
let services: TestServices;
beforeAll(async () => {
  database = await createTestDatabase(10);
  services = testServices(database);
});
afterAll(() => database.close());

test("numbers that the database can't take don't pass for input", () => {
  const lease_id = "ls_01jmq8rx1rf3d9w4k1q3k3zzzz";
  const id = "nd_01jmq8rx1rf3d9w4k1q3k3zzzz";
  const execution_id = "exe_01jmq8rx1rf3d9w4k1q3k3zzzz";
  const chunk = { lease_id, stream: "stdout", data: "", encoding: "utf-8" };
  const report = (parts: object) => OPERATIONS["nodes.report"].input.safeParse({ id, ...parts });
  expect(report({ chunks: [{ ...chunk, sequence: 1 }] }).error).toBeUndefined();
  for (const large of [2 ** 31, -(2 ** 31) - 1, Number.MAX_SAFE_INTEGER]) {
    expect(report({ chunks: [{ ...chunk, sequence: Math.abs(large) - 1 }] }).success).toBe(false);
    expect(report({ exits: [{ lease_id, execution_id, code: large }] }).success).toBe(false);
    expect(report({ leases: [{ lease_id, state: "exited", exit_code: large }] }).success).toBe(false);
  }
});

test("chunks without contents use up a rank's room as well", async () => {
  const machine = await newMachine(services, 1);
  await machine.heartbeat();
  const rental = await startRental(services, machine.id);
  const chunks = Array.from({ length: 100 }, (_, sequence) => ({
    lease_id: rental.leaseId as never,
    sequence,
    stream: "stdout" as const,
    data: "",
    encoding: "utf-8" as const,
  }));
  await machine.report({ chunks });
  const [kept] = await services.db.select({ rows: count() }).from(outputChunks);
  expect(kept?.rows).toBe(100);
  const { outputBytes } = await leaseOf(services, rental);
  expect(OUTPUT_BYTES_PER_RANK_MAX / (outputBytes / 100)).toBeLessThan(1_000_000);
});

test("a machine's address goes into other machines' host tables, so it can be nothing but an address", () => {
  const { input } = OPERATIONS["nodes.enrol"];
  const enrolment = enrolmentInput("vly_enrol_0123456789abcdef", newKey().publicKey);
  for (const good of ["192.0.2.1", "2001:db8::1"]) {
    expect(input.safeParse({ ...enrolment, advertise_address: good }).error).toBeUndefined();
  }
  for (const bad of [
    "host-gateway",
    "10.0.0.1\n10.0.0.2 pypi.org",
    "10.0.0.1 pypi.org",
    "",
    "1.2.3.4:80",
    "a.example",
  ]) {
    expect(input.safeParse({ ...enrolment, advertise_address: bad }).success).toBe(false);
  }
});

test("no price is so high that quotes and bills run over", async () => {
  const { token } = await issueEnrolmentToken(services, { supplierName: "dear", supplierClass: "network" });
  const enrol = (price: string) =>
    enrolNode(contextAs(services, { kind: "anonymous" }), {
      ...enrolmentInput(token, newKey().publicKey),
      price_per_gpu_hour: price,
    });
  for (const price of ["1000000000000", "9007199254.740992"]) {
    await expect(enrol(price)).rejects.toMatchObject({ code: "invalid_field" });
  }
  expect((await enrol("9999.999999")).price_per_gpu_hour.amount).toBe("9999.999999");
});

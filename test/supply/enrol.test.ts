import { eq } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { enrolmentTokens, nodes } from "../../api/db/tables.ts";
import { enrolNode } from "../../api/supply/enrol-node.ts";
import { getNode } from "../../api/supply/get-node.ts";
import { enrolmentTokenHash, issueEnrolmentToken } from "../../api/supply/issue-enrolment-token.ts";
import { loadSuppliers } from "../../api/supply/load-suppliers.ts";
import { createTestDatabase, type TestDatabase } from "../harness/database.ts";
import { contextAs, type TestServices, testServices } from "../harness/services.ts";
import { enrolmentInput, newKey, newMachine } from "./machine.ts";

let database: TestDatabase;
let services: TestServices;
beforeAll(async () => {
  database = await createTestDatabase(20);
  services = testServices(database);
});
afterAll(() => database.close());

const anyone = () => contextAs(services, { kind: "anonymous" });
const issue = (lifetimeSeconds?: number) =>
  issueEnrolmentToken(services, {
    supplierName: "a supplier",
    supplierClass: "network",
    ...(lifetimeSeconds === undefined ? {} : { lifetimeSeconds }),
  });

describe("an enrolment token", () => {
  test("lets one machine join for the supplier that it was issued for, and is kept as a hash alone", async () => {
    const { token, supplierId } = await issue();
    const [kept] = await services.db
      .select()
      .from(enrolmentTokens)
      .where(eq(enrolmentTokens.tokenHash, enrolmentTokenHash(token)));
    expect(JSON.stringify(kept)).not.toContain(token);
    const node = await enrolNode(anyone(), enrolmentInput(token, newKey().publicKey));
    expect(node).toMatchObject({
      object: "node",
      status: "offline",
      gpu: "cpu",
      gpus_total: 4,
      gpus_available: 0,
      supplier_id: supplierId,
      price_per_gpu_hour: { amount: "0.360000", currency: "USDC" },
    });
    expect(await getNode(anyone(), { id: node.id })).toEqual(node);
    expect((await loadSuppliers(services, [supplierId])).get(supplierId)).toEqual({
      id: supplierId,
      object: "supplier",
      name: "a supplier",
      supplier_class: "network",
    });
    await expect(enrolNode(anyone(), enrolmentInput(token, newKey().publicKey))).rejects.toMatchObject({
      code: "enrolment_token_invalid",
    });
  });

  test("used by many machines at once admits exactly one", async () => {
    const { token } = await issue();
    const tries = await Promise.allSettled(
      Array.from({ length: 16 }, () => enrolNode(anyone(), enrolmentInput(token, newKey().publicKey))),
    );
    expect(tries.filter((one) => one.status === "fulfilled")).toHaveLength(1);
  });

  test("used again by the machine that joined with it answers the same node", async () => {
    const { token } = await issue();
    const input = enrolmentInput(token, newKey().publicKey);
    const first = await enrolNode(anyone(), input);
    expect(await enrolNode(anyone(), input)).toEqual(first);
  });

  test("that was made up or has expired is refused", async () => {
    const made = enrolmentInput(`vly_enrol_${"x".repeat(43)}`, newKey().publicKey);
    await expect(enrolNode(anyone(), made)).rejects.toMatchObject({ code: "enrolment_token_invalid" });
    const { token } = await issue(60);
    services.clock.pass(60_000);
    await expect(enrolNode(anyone(), enrolmentInput(token, newKey().publicKey))).rejects.toMatchObject({
      code: "enrolment_token_invalid",
    });
  });

  test("survives a refusal for another reason", async () => {
    const { token } = await issue();
    const input = enrolmentInput(token, newKey().publicKey);
    const other = await newMachine(services);
    await expect(enrolNode(anyone(), { ...input, public_key: other.publicKey })).rejects.toMatchObject({
      code: "invalid_field",
      errors: [{ pointer: "/public_key" }],
    });
    await expect(
      enrolNode(anyone(), { ...input, inventory: { ...input.inventory, gpu: "voodoo-2" } }),
    ).rejects.toMatchObject({ code: "unknown_gpu" });
    await expect(enrolNode(anyone(), { ...input, price_per_gpu_hour: "0.000059" })).rejects.toMatchObject({
      code: "invalid_field",
    });
    await expect(enrolNode(anyone(), { ...input, region: "a\0b" })).rejects.toMatchObject({ code: "invalid_field" });
    expect(await enrolNode(anyone(), input)).toMatchObject({ gpu: "cpu" });
  });
});

test("a model is known by its short form too", async () => {
  const { token } = await issue();
  const input = enrolmentInput(token, newKey().publicKey);
  const node = await enrolNode(anyone(), { ...input, inventory: { ...input.inventory, gpu: "h100-sxm" } });
  expect(node.gpu).toBe("h100-sxm-80gb");
  const [row] = await services.db.select().from(nodes).where(eq(nodes.id, node.id));
  expect(row).toMatchObject({ gpusFree: 4, gpusTotal: 4, adapter: "agent", fabric: null });
});

test("a node that doesn't exist is not found", async () => {
  await expect(getNode(anyone(), { id: "nd_01jmq8rx1rf3d9w4k1q3k3zzzz" as never })).rejects.toMatchObject({
    code: "not_found",
  });
});

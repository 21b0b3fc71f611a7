/**
 * Every operation that is not for everybody, asked by everybody: without a credential, with a malformed one, with
 * somebody else's, and by its owner. Somebody else's object answers byte for byte as one that doesn't exist.
 */
import { OPERATIONS, type OperationId } from "@volley/schema";
import type { Operation } from "@volley/schema/operation";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestApp, type TestApp } from "../harness/app.ts";
import { until } from "../harness/services.ts";
import { graphqlRequest, type Input, restFace, restRequest } from "./faces.ts";
import { freshKey, type Held, rent, reserve, succeed, untilStatus } from "./rentals.ts";

const guarded = (Object.entries(OPERATIONS) as [OperationId, Operation][]).filter(([, { scope }]) => scope !== "none");

const held = guarded.filter(([, { scope }]) => scope === "holder");
/** A list of what the credential opens has nothing foreign to ask for. */
const single = held.filter(([id]) => !id.endsWith(".list"));

let app: TestApp;
let owned: Held;
let stranger: Held;
let refundId = "";
let receiptId = "";

/** The ids of what is owned, and of what doesn't exist. */
interface Objects {
  readonly cluster: string;
  readonly payment: string;
  readonly refund: string;
  readonly receipt: string;
  readonly node: string;
}
let existing: Objects;

const missing = (id: string) => `${id.slice(0, -4)}${id.endsWith("zzzz") ? "zzzy" : "zzzz"}`;
const missingOf = (objects: Objects): Objects => ({
  cluster: missing(objects.cluster),
  payment: missing(objects.payment),
  refund: missing(objects.refund),
  receipt: missing(objects.receipt),
  node: missing(objects.node),
});

/** A well-formed input of every guarded operation, about the given objects. */
function inputOf(id: OperationId, objects: Objects): Input {
  const inputs: Partial<Record<OperationId, Input>> = {
    "clusters.get": { id: objects.cluster },
    "clusters.list": {},
    "clusters.extend": { id: objects.cluster, duration_seconds: 600, dry_run: true },
    "clusters.teardown": { id: objects.cluster },
    "clusters.exec": { id: objects.cluster, command: "true" },
    "clusters.logs": { id: objects.cluster, follow: false },
    "clusters.events": { id: objects.cluster, follow: false },
    "payments.get": { id: objects.payment },
    "payments.list": {},
    "refunds.create": { cluster_id: objects.cluster, to: app.payer.address },
    "refunds.get": { id: objects.refund },
    "receipts.get": { id: objects.receipt },
    "receipts.list": {},
    "refunds.list": {},
    "payouts.list": {},
    "refunds.cancel": { id: objects.refund },
    "auth.end": {},
    "account.get": {},
    "topups.create": { amount: "5" },
    "unallocated.list": {},
    "unallocated.claim": { signature: "5".repeat(88) },
    "balance.get": {},
    "transfers.list": {},
    "nodes.heartbeat": { id: objects.node, leases: [] },
    "nodes.assignments": { id: objects.node },
    "nodes.report": { id: objects.node },
  };
  const input = inputs[id];
  if (input === undefined) throw new Error(`give an input for ${id}: every guarded operation is asked here`);
  return input;
}

interface Answer {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: string;
}

async function ask(id: OperationId, objects: Objects, authorization: string | null): Promise<Answer> {
  const { path, init } = restRequest(id, inputOf(id, objects), { idempotencyKey: freshKey() });
  const headers = { ...(init.headers as Record<string, string>), "x-request-id": "authorization-matrix" };
  if (authorization !== null) Object.assign(headers, { authorization });
  const response = await fetch(`${app.url}${path}`, { ...init, headers });
  const { date: _, ratelimit: __, ...kept } = Object.fromEntries(response.headers);
  return { status: response.status, headers: kept, body: await response.text() };
}

async function askGraphql(id: OperationId, objects: Objects, authorization: string | null): Promise<unknown> {
  const isStream = OPERATIONS[id].graphql.kind === "subscription";
  const response = await fetch(`${app.url}/graphql${isStream ? "/stream" : ""}`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "idempotency-key": freshKey(),
      "x-request-id": "authorization-matrix",
      ...(authorization === null ? {} : { authorization }),
    },
    body: JSON.stringify(graphqlRequest(id, inputOf(id, objects))),
  });
  const text = await response.text();
  const json = isStream ? (/^event: next\ndata: (.*)$/m.exec(text)?.[1] ?? "{}") : text;
  return JSON.parse(json);
}

beforeAll(async () => {
  app = await createTestApp();
  const face = restFace(app.url);
  const node = await app.join(8);
  await until("the machine is on offer", async () => {
    const { output } = await face.call("quotes.create", { gpu: "cpu", duration_seconds: 600 });
    return output !== undefined;
  });
  owned = await rent(app, face, { refund_address: app.payer.address });
  stranger = await reserve(face);
  const { cluster, secret } = owned;
  const stopped = await succeed(face, "clusters.teardown", { id: cluster.id }, { secret });
  refundId = stopped.bill?.refund.id ?? "";
  await untilStatus(face, owned, "stopped");
  await until("the receipt is signed", async () => {
    const { bill } = await succeed(face, "clusters.get", { id: cluster.id }, { secret });
    receiptId = bill?.receipt_id ?? "";
    return receiptId !== "";
  });
  existing = { cluster: cluster.id, payment: cluster.payment.id, refund: refundId, receipt: receiptId, node };
}, 120_000);
afterAll(() => app?.close(), 60_000);

describe.each(guarded)("%s", (id, { scope }) => {
  test("asks for a credential", async () => {
    const answer = await ask(id, existing, null);
    expect(answer.status).toBe(401);
    expect(JSON.parse(answer.body).code).toBe("unauthenticated");
    expect(answer.headers["www-authenticate"]).toBeDefined();
    expect(await askGraphql(id, existing, null)).toMatchObject({
      errors: [{ extensions: { code: "unauthenticated" } }],
    });
  });

  test("refuses a malformed credential, and one of another kind", async () => {
    const code = scope === "node" ? "unauthenticated" : "credential_invalid";
    for (const authorization of ["Bearer", "Basic dXNlcjpwYXNz", "Bearer two words"]) {
      expect(JSON.parse((await ask(id, existing, authorization)).body).code).toBe(code);
      expect(await askGraphql(id, existing, authorization)).toMatchObject({ errors: [{ extensions: { code } }] });
    }
  });
});

describe.each(single)("%s", (id) => {
  test("what is somebody else's answers as what doesn't exist", async () => {
    for (const secret of [stranger.secret, "vly_cl_unheardof"]) {
      const foreign = await ask(id, existing, `Bearer ${secret}`);
      expect(foreign.status).toBe(404);
      expect(foreign).toEqual(await ask(id, missingOf(existing), `Bearer ${secret}`));
      const authorization = `Bearer ${secret}`;
      expect(await askGraphql(id, existing, authorization)).toEqual(
        await askGraphql(id, missingOf(existing), authorization),
      );
    }
  });
});

describe.each(held)("%s", (id) => {
  test("opens to its owner", async () => {
    const answer = await ask(id, existing, `Bearer ${owned.secret}`);
    expect([200, 201, 409]).toContain(answer.status);
    if (answer.status === 409) {
      expect(["cluster_ended", "cluster_not_running", "nothing_to_refund", "refund_not_cancellable"]).toContain(
        JSON.parse(answer.body).code,
      );
    }
  });
});

test("a list shows what the credential opens, and nothing else", async () => {
  const face = restFace(app.url);
  const list = async (secret: string) =>
    (await succeed(face, "clusters.list", {}, { secret })).data.map((one) => one.id);
  expect(await list(owned.secret)).toEqual([owned.cluster.id]);
  expect(await list(stranger.secret)).toEqual([stranger.cluster.id]);
  expect(await list("vly_cl_unheardof")).toEqual([]);
});

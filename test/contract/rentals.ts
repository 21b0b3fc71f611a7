/** What every contract test needs of a rental, through whichever face. */

import { randomUUID } from "node:crypto";
import {
  type Cluster,
  OPERATIONS,
  type OperationId,
  type Operations,
  type OutputOf,
  type Problem,
  type Quote,
} from "@volley/schema";
import { payTransferRequest } from "@volley/sdk/solana";
import { expect } from "vitest";
import type { TestApp } from "../harness/app.ts";
import { until } from "../harness/services.ts";
import { solanaPayOf } from "../harness/solana-pay-of.ts";
import type { CallOptions, Face, Input } from "./faces.ts";

const READY_WITHIN_MS = 60_000;

/** Calls, expects success, and checks the answer against the contract: every field declared, none missing. */
export async function succeed<Id extends OperationId>(
  face: Face,
  id: Id,
  input: Input,
  options: CallOptions = {},
): Promise<OutputOf<Operations[Id]>> {
  const { output, problem } = await face.call(id, input, options);
  expect(problem, `${face.name} ${id}`).toBeUndefined();
  expect(OPERATIONS[id].output.parse(output), `${face.name} ${id}`).toEqual(output);
  return output as OutputOf<Operations[Id]>;
}

/** Calls, expects a problem of that code, and checks that it helps. */
export async function fail(
  face: Face,
  id: OperationId,
  input: Input,
  code: Problem["code"],
  options: CallOptions = {},
): Promise<Problem> {
  const { problem, output } = await face.call(id, input, options);
  expect(problem?.code, `${face.name} ${id} answered ${JSON.stringify(problem ?? output)}`).toBe(code);
  if (problem === undefined) throw new Error("there is no problem");
  expect(problem.detail.length).toBeGreaterThan(15);
  return problem;
}

export const freshKey = () => randomUUID();

export async function quoteFor(face: Face, wish: Input = {}): Promise<Quote> {
  return succeed(face, "quotes.create", { gpu: "cpu", nodes: 2, gpus_per_node: 1, duration_seconds: 3600, ...wish });
}

export interface Held {
  readonly cluster: Cluster;
  readonly secret: string;
}

export async function reserve(face: Face, more: Input = {}, wish: Input = {}): Promise<Held> {
  const quote = await quoteFor(face, wish);
  const options = { idempotencyKey: freshKey() };
  const cluster = await succeed(face, "clusters.reserve", { quote_token: quote.token, ...more }, options);
  if (cluster.secret === null) throw new Error("reserving without a credential answers with a secret");
  return { cluster, secret: cluster.secret };
}

export async function pay(app: TestApp, url: string): Promise<string> {
  return payTransferRequest({ url, signer: app.payer, rpcUrl: app.chain.rpcUrl });
}

export async function untilStatus(face: Face, { cluster, secret }: Held, status: Cluster["status"]): Promise<Cluster> {
  let seen: Cluster = cluster;
  const look = async () => {
    seen = await succeed(face, "clusters.get", { id: cluster.id }, { secret });
    return seen.status === status;
  };
  await until(`cluster is ${status}, ${face.name}`, look, READY_WITHIN_MS);
  return seen;
}

/** A cluster that runs, paid for on chain. */
export async function rent(app: TestApp, face: Face, more: Input = {}): Promise<Held> {
  const held = await reserve(face, more);
  await pay(app, solanaPayOf(held.cluster.payment).url);
  await untilStatus(face, held, "running");
  return held;
}

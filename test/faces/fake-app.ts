/** The faces over verbs that only answer samples: what the faces themselves do is all that can go wrong. */
import { encodeCursor, formatUsdc, type OperationId, toMoney, VolleyError } from "@volley/schema";
import type { Hono } from "hono";
import { inProcessHints } from "../../api/adapters/in-process-hints.ts";
import { jsonLogger } from "../../api/adapters/json-logger.ts";
import { strongRandom } from "../../api/adapters/strong-random.ts";
import { systemClock } from "../../api/adapters/system-clock.ts";
import { newApp } from "../../api/app.ts";
import type { Services } from "../../api/context.ts";
import { readSettings } from "../../api/settings.ts";
import type { Domain, Loaders, Verbs } from "../../api/verbs.ts";

export const QUOTE_ID = "qt_01jmq8rx1rf3d9w4k1q3k3zzzz";
export const CLUSTER_ID = "cl_01jmq8rx1rf3d9w4k1q3k3zzzz";
export const NODE_ID = "nd_01jmq8rx1rf3d9w4k1q3k3zzzz";

export const TEST_ENVIRONMENT = {
  VOLLEY_QUOTE_KEYS: "A".repeat(43),
  VOLLEY_SECRET_KEY: "B".repeat(43),
  SOLANA_RPC_URL: "http://127.0.0.1:1",
  USDC_MINT: "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
  VOLLEY_TREASURY_ADDRESS: "11111111111111111111111111111111",
};

/** A quote of the size that a caller gets for one node. */
export function sampleQuote(nodes = 1) {
  const price = toMoney(2_490_000n);
  const plan = Array.from({ length: nodes }, (_, rank) => ({
    rank,
    country: "DE",
    region: "eu-central",
    interconnect: "infiniband" as const,
    reliability: 0.998,
    isolation: "container" as const,
    supplier_class: "network" as const,
    price_per_gpu_hour: price,
  }));
  return {
    id: QUOTE_ID as never,
    object: "quote" as const,
    token: `vqt1.${"x".repeat(400)}`,
    created_at: "2026-11-22T10:00:00.000Z",
    expires_at: "2026-11-22T10:10:00.000Z",
    gpu: "h100-sxm-80gb",
    nodes,
    gpus_per_node: 8,
    duration_seconds: 14_400,
    price_per_gpu_hour: price,
    lines: [
      { kind: "compute" as const, description: "8 × h100-sxm-80gb for 4 h", amount: toMoney(79_680_000n) },
      { kind: "platform_fee" as const, description: "Platform fee, 5 %", amount: toMoney(3_984_000n) },
    ],
    total: { amount: formatUsdc(83_664_000n), currency: "USDC" as const },
    plan,
    rtt_ms_max: 0,
    alternatives: [],
  };
}

export interface FakeApp {
  readonly app: Hono;
  /** Lines of the log, parsed. */
  readonly log: Record<string, unknown>[];
}

/** Verbs that were not given refuse, so that a call nobody meant fails the test. */
export function fakeVerbs(given: Partial<Verbs>): Verbs {
  return new Proxy(given as Verbs, {
    get: (verbs, id) => {
      if (typeof id === "string" && id in verbs) return verbs[id as OperationId];
      return () => {
        throw new Error(`the test gave no verb for ${String(id)}`);
      };
    },
  });
}

export function fakeServices(log: Record<string, unknown>[], environment: Record<string, string> = {}): Services {
  const missing = (name: string) => () => {
    throw new Error(`${name} is not part of this test`);
  };
  return {
    clock: systemClock,
    random: strongRandom(),
    db: { execute: missing("the database") } as never,
    chain: { slot: missing("the chain") } as never,
    cards: null,
    screening: null,
    market: { isLoaded: () => false } as never,
    suppliers: {},
    settings: readSettings({ ...TEST_ENVIRONMENT, ...environment }),
    logger: jsonLogger({ clock: systemClock, level: "info", write: (line) => log.push(JSON.parse(line)) }),
    metrics: {
      count: () => undefined,
      gauge: () => undefined,
      observe: () => undefined,
      render: async () => "# none\n",
    },
    hints: inProcessHints(systemClock),
  };
}

export interface FakeOptions {
  readonly verbs?: Partial<Verbs>;
  readonly environment?: Record<string, string>;
  readonly authenticateNode?: Domain["authenticateNode"];
  readonly loaders?: Partial<Loaders>;
  readonly introspection?: boolean;
}

export function fakeApp(options: FakeOptions = {}): FakeApp {
  const log: Record<string, unknown>[] = [];
  const services = fakeServices(log, options.environment);
  const app = newApp({
    services: () => services,
    callerAddress: (request) => request.headers.get("x-test-address") ?? "192.0.2.1",
    metrics: true,
    introspection: options.introspection ?? true,
    domain: {
      verbs: fakeVerbs(options.verbs ?? {}),
      loaders: (options.loaders ?? {}) as Loaders,
      cursors: {
        "gpus.list": ({ gpu }) => encodeCursor({ key: gpu, id: gpu }),
        "offers.list": ({ node_id: id }) => encodeCursor({ key: "", id }),
        "clusters.list": ({ id }) => encodeCursor({ key: "", id }),
        "receipts.list": ({ id }) => encodeCursor({ key: "", id }),
        "unallocated.list": ({ signature: id }) => encodeCursor({ key: "", id }),
        "payments.list": ({ id }) => encodeCursor({ key: "", id }),
        "payouts.list": ({ id }) => encodeCursor({ key: "", id }),
        "refunds.list": ({ id }) => encodeCursor({ key: "", id }),
        "transfers.list": ({ id }) => encodeCursor({ key: "", id }),
        events: ({ id }) => encodeCursor({ key: "", id }),
      },
      receiveCardNotice: () => Promise.reject(new VolleyError("rail_unavailable", "Cards are not taken here.")),
      authenticateNode:
        options.authenticateNode ??
        (() => Promise.reject(new VolleyError("node_signature_invalid", "The signature does not match."))),
    },
  });
  return { app, log };
}

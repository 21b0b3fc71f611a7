/** What every verb receives: the ports, the settings, and who asks. */
import { type Id, type IdKind, makeId } from "@volley/schema/ids";
import type { NodeChannel } from "@volley/schema/node-signature";
import type { Database } from "./db/database.ts";
import type { Market } from "./market/market.ts";
import type { AddressScreening } from "./ports/address-screening.ts";
import type { CardProcessor } from "./ports/card-processor.ts";
import type { Chain } from "./ports/chain.ts";
import type { Clock } from "./ports/clock.ts";
import type { Logger } from "./ports/logger.ts";
import type { Metrics } from "./ports/metrics.ts";
import type { Random } from "./ports/random.ts";
import type { Supplier } from "./ports/supplier.ts";
import type { Settings } from "./settings.ts";

/** Made once per process (Node) or per request (Workers). */
export interface Services {
  readonly clock: Clock;
  readonly random: Random;
  readonly db: Database;
  readonly chain: Chain;
  /** Null where nobody asks which addresses are on a list. */
  readonly screening: AddressScreening | null;
  /** Null where cards are not taken. */
  readonly cards: CardProcessor | null;
  readonly market: Market;
  readonly suppliers: Readonly<Partial<Record<"agent" | "simulated", Supplier>>>;
  readonly settings: Settings;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Tells the local worker and local streams that something has changed, so that they need not wait for their poll. */
  readonly hints: Hints;
}

/** In-process wake-ups: never needed for correctness, only for latency. */
export interface Hints {
  /** Topics: `tasks`, `cluster:<id>`, `node:<id>`. */
  notify(topic: string): void;
  /** Resolves at the next notification of the topic or after `ms`, whichever comes first. */
  wait(topic: string, ms: number, signal?: AbortSignal): Promise<void>;
}

export type Actor =
  | { readonly kind: "anonymous" }
  /** Presented a bearer credential; each verb compares its hash with the object's. */
  | { readonly kind: "bearer"; readonly tokenHash: string }
  /** Proved by signature that it is this node; the verb sees to it that the counter of its channel has not been used. */
  | {
      readonly kind: "node";
      readonly nodeId: Id<"node">;
      readonly channel: NodeChannel;
      readonly counter: number;
    }
  /** Volley itself, in a task. */
  | { readonly kind: "system" };

/** Who asks, and until when somebody listens. */
export interface Caller {
  readonly actor: Actor;
  readonly requestId: string;
  /** As sent, unquoted; null when absent. */
  readonly idempotencyKey: string | null;
  /** Stands for the caller's network address in limits. */
  readonly callerHash: string;
  /** Aborted when the caller has gone. */
  readonly signal: AbortSignal;
}

export interface Context extends Services, Caller {}

/** What everything that writes needs: the time, and names for new rows. */
export type Maker = Pick<Services, "clock" | "random">;

export function newId<Kind extends IdKind>(services: Maker, kind: Kind): Id<Kind> {
  return makeId(kind, services.clock.nowMs(), services.random.bytes(10));
}

/** The context in which tasks call verbs. */
export function systemContext<Held extends Maker>(services: Held, signal: AbortSignal): Held & Caller {
  return {
    ...services,
    actor: { kind: "system" },
    requestId: newId(services, "request"),
    idempotencyKey: null,
    callerHash: "system",
    signal,
  };
}

import { z } from "zod";
import type { DevelopmentChain } from "./development-chain.ts";
import { accountEncodingFields, encodeAccount } from "./encode-account.ts";
import { invalidParams, methodNotFound, RpcError } from "./rpc-error.ts";
import {
  addressParam,
  type Commitment,
  checkParams,
  commitmentParam,
  signatureParam,
  wholeParam,
  withContext,
} from "./rpc-method.ts";
import type { TransactionRecord } from "./transaction-history.ts";

interface Subscription {
  /** Looks for news after a slot began or a transaction landed. */
  update(): void;
}

const maxSubscriptions = 1_000;

const commitmentConfig = z.object({ commitment: commitmentParam.optional() }).nullish();
const logsFilter = z.union([z.enum(["all", "allWithVotes"]), z.object({ mentions: z.array(addressParam).length(1) })]);
const signatureConfig = z
  .object({ commitment: commitmentParam.optional(), enableReceivedNotification: z.boolean().optional() })
  .nullish();
const accountConfig = z.object({ commitment: commitmentParam.optional(), ...accountEncodingFields }).nullish();

/**
 * The subscriptions of one WebSocket connection: `signatureSubscribe`, `accountSubscribe`, `logsSubscribe`,
 * `slotSubscribe`, `rootSubscribe` and their counterparts.
 */
export class Subscriptions {
  readonly #chain: DevelopmentChain;
  readonly #notify: (notification: unknown) => void;
  readonly #subscriptions = new Map<number, Subscription>();
  readonly #stopListening: () => void;
  #nextId = 1;

  constructor(chain: DevelopmentChain, notify: (notification: unknown) => void) {
    this.#chain = chain;
    this.#notify = notify;
    const update = () => {
      for (const subscription of [...this.#subscriptions.values()]) subscription.update();
    };
    this.#stopListening = chain.listen({ onSlot: update, onTransaction: update });
  }

  /** Whether a method is one that only a WebSocket answers. */
  static handles(method: string): boolean {
    return /^(signature|account|logs|slot|root)(Subscribe|Unsubscribe)$/.test(method);
  }

  /** Answers a subscribe or unsubscribe call. Throws RpcError. */
  call(method: string, params: readonly unknown[]): unknown {
    if (method.endsWith("Unsubscribe")) {
      const [id] = checkParams(z.tuple([wholeParam]), params);
      if (!this.#subscriptions.delete(id)) throw invalidParams("Invalid subscription id.");
      return true;
    }
    if (this.#subscriptions.size >= maxSubscriptions) {
      throw new RpcError(-32000, `A connection has at most ${maxSubscriptions} subscriptions; open another one`);
    }
    const id = this.#nextId++;
    const subscription = this.#make(method, params, id);
    this.#subscriptions.set(id, subscription);
    // The answer with the id has to come before the first notification.
    queueMicrotask(() => this.#subscriptions.get(id)?.update());
    return id;
  }

  close(): void {
    this.#stopListening();
    this.#subscriptions.clear();
  }

  #make(method: string, params: readonly unknown[], id: number): Subscription {
    switch (method) {
      case "signatureSubscribe":
        return this.#signature(id, ...checkParams(z.tuple([signatureParam, signatureConfig.optional()]), params));
      case "accountSubscribe":
        return this.#account(id, ...checkParams(z.tuple([addressParam, accountConfig.optional()]), params));
      case "logsSubscribe":
        return this.#logs(id, ...checkParams(z.tuple([logsFilter, commitmentConfig.optional()]), params));
      case "slotSubscribe":
        return this.#slots(id, "slotNotification", "processed", (slot) => ({
          parent: Math.max(0, slot - 1),
          root: this.#chain.view().slotAt("finalized"),
          slot,
        }));
      case "rootSubscribe":
        return this.#slots(id, "rootNotification", "finalized", (slot) => slot);
      default:
        throw methodNotFound(method);
    }
  }

  #send(method: string, subscription: number, result: unknown): void {
    this.#notify({ jsonrpc: "2.0", method, params: { result, subscription } });
  }

  #signature(id: number, signature: string, config: z.output<typeof signatureConfig> | undefined): Subscription {
    const commitment = config?.commitment ?? "finalized";
    let received = config?.enableReceivedNotification !== true;
    return {
      update: () => {
        const record = this.#chain.state.history.bySignature(signature);
        if (record === undefined) return;
        const slot = this.#chain.view().slotAt(commitment);
        if (!received) {
          received = true;
          this.#send("signatureNotification", id, withContext(record.slot, "receivedSignature"));
        }
        if (record.slot > slot) return;
        // Solana ends the subscription by itself with the one notification.
        this.#subscriptions.delete(id);
        this.#send("signatureNotification", id, withContext(slot, { err: record.execution.err }));
      },
    };
  }

  #account(id: number, address: string, config: z.output<typeof accountConfig> | undefined): Subscription {
    const commitment = config?.commitment ?? "finalized";
    const read = (key: string) => this.#chain.state.account(key, this.#chain.view().slotAt(commitment));
    const print = () => JSON.stringify(encodeAccount(read(address), { encoding: "base64" }, read), bigintAsText);
    let last = print();
    return {
      update: () => {
        const now = print();
        if (now === last) return;
        last = now;
        const slot = this.#chain.view().slotAt(commitment);
        this.#send("accountNotification", id, withContext(slot, encodeAccount(read(address), config, read)));
      },
    };
  }

  #logs(
    id: number,
    filter: z.output<typeof logsFilter>,
    config: z.output<typeof commitmentConfig> | undefined,
  ): Subscription {
    const commitment: Commitment = config?.commitment ?? "finalized";
    const { history } = this.#chain.state;
    const records = (): readonly TransactionRecord[] =>
      typeof filter === "string" ? history.all : history.forAddress(filter.mentions[0] ?? "");
    const reached = () => this.#chain.view().slotAt(commitment);
    const start = reached();
    let next = records().findLastIndex((record) => record.slot <= start) + 1;
    return {
      update: () => {
        const slot = reached();
        for (let record = records()[next]; record !== undefined && record.slot <= slot; record = records()[next]) {
          next += 1;
          const { signature, execution } = record;
          this.#send(
            "logsNotification",
            id,
            withContext(slot, { signature, err: execution.err, logs: execution.logs }),
          );
        }
      },
    };
  }

  #slots(id: number, method: string, commitment: Commitment, result: (slot: number) => unknown): Subscription {
    let last = this.#chain.view().slotAt(commitment);
    return {
      update: () => {
        const slot = this.#chain.view().slotAt(commitment);
        if (slot === last) return;
        last = slot;
        this.#send(method, id, result(slot));
      },
    };
  }
}

const bigintAsText = (_key: string, value: unknown) => (typeof value === "bigint" ? value.toString() : value);

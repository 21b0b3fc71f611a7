/** The chain of a simulation: its slots follow virtual time, and processes reach it through nodes with faults. */
import { createSolanaRpcFromTransport, isJsonRpcPayload, type RpcTransport } from "@solana/kit";
import { rpcChain } from "../../api/chain/rpc.ts";
import { DevelopmentChain } from "../../api/local/chain/development-chain.ts";
import { faultyTransport } from "../../api/local/chain/faulty-transport.ts";
import type { TransactionRecord } from "../../api/local/chain/transaction-history.ts";
import type { Chain } from "../../api/ports/chain.ts";
import type { Span } from "./cloud.ts";
import type { Faults } from "./faults.ts";
import type { SimulatedProcess } from "./process.ts";
import type { SeededRandom } from "./random.ts";
import type { Timeline } from "./timeline.ts";

/** Decides the keys of every simulated chain: the same mint in all of them. */
export const CHAIN_SEED = "simulation";
/** Fewer and longer slots than Solana's, with the same seconds until `finalized` and until a blockhash has expired. */
const SLOT_MS = 1_000;
const SLOTS_TO_FINALIZE = 13;
const BLOCKHASH_LIFETIME_BLOCKS = 60;
/** How long the chain adapter waits for a node. */
const RPC_TIMEOUT_MS = 5_000;

/** Shorter than it takes to be final: what a fork shows is never more than `confirmed`. */
const FORK_MS: Span = { least: 3_000, most: 11_000 };

const SETTINGS = {
  seed: CHAIN_SEED,
  slotsToFinalize: SLOTS_TO_FINALIZE,
  blockhashLifetimeBlocks: BLOCKHASH_LIFETIME_BLOCKS,
};

export class SimulatedChain {
  readonly #main: DevelopmentChain;
  readonly #timeline: Timeline;
  readonly #random: SeededRandom;
  readonly #count: (fault: string) => void;
  readonly #genesisSlot: number;
  /** What all nodes show for a while, before the network agrees on the main chain. */
  #fork: { readonly chain: DevelopmentChain; readonly untilMs: number } | null = null;

  constructor(timeline: Timeline, random: SeededRandom, count: (fault: string) => void) {
    this.#main = new DevelopmentChain({ ...SETTINGS, genesisTimeMs: timeline.nowMs });
    this.#timeline = timeline;
    this.#random = random;
    this.#count = count;
    this.#genesisSlot = this.#main.slot;
  }

  /** The chain that will stay, as it is now. */
  get now(): DevelopmentChain {
    return this.#upToDate(this.#main);
  }

  /** Sends signed bytes to everybody who listens. */
  send(wire: Uint8Array): TransactionRecord | null {
    if (this.#isForked) this.#shown.submit(wire);
    return this.now.submit(wire);
  }

  /** Sends signed bytes to nodes that stand on a fork, which everybody follows for some seconds, and then nobody. */
  sendToFork(wire: Uint8Array): void {
    if (!this.#isForked) {
      const chain = new DevelopmentChain({ ...SETTINGS, snapshot: this.now.snapshot() });
      const untilMs = this.#timeline.nowMs + this.#random.whole(FORK_MS.least, FORK_MS.most);
      this.#fork = { chain, untilMs };
      this.#count("chain fork");
      this.#timeline.note("the chain forks");
    }
    this.#shown.submit(wire);
  }

  openFor(process: SimulatedProcess, faults: () => Faults): Chain {
    const simulated: RpcTransport = async <TResponse>(config: Parameters<RpcTransport>[0]): Promise<TResponse> => {
      const method = isJsonRpcPayload(config.payload) ? config.payload.method : "unknown";
      const { chain: rates, chainHangs } = faults();
      return await process.call(
        `rpc ${method}`,
        async () => {
          const onFault = (fault: string) => this.#count(`rpc ${fault}`);
          const transport = faultyTransport(this.#shown, rates, () => this.#random.fraction(), onFault);
          return await transport<TResponse>(config);
        },
        {
          rates: { lostRequest: chainHangs / 2, lostResponse: chainHangs / 2 },
          lost: () => new DOMException("The operation was aborted due to timeout", "TimeoutError"),
          noticedAfterMs: RPC_TIMEOUT_MS,
        },
      );
    };
    return rpcChain(createSolanaRpcFromTransport(simulated), { clock: process.clock, timeoutMs: RPC_TIMEOUT_MS });
  }

  get #isForked(): boolean {
    return this.#fork !== null && this.#timeline.nowMs < this.#fork.untilMs;
  }

  /** The chain that nodes show now. */
  get #shown(): DevelopmentChain {
    return this.#upToDate(this.#isForked && this.#fork !== null ? this.#fork.chain : this.#main);
  }

  #upToDate(chain: DevelopmentChain): DevelopmentChain {
    const slots = Math.floor((this.#timeline.nowMs - this.#timeline.startMs) / SLOT_MS);
    const behind = this.#genesisSlot + slots - chain.slot;
    if (behind > 0) chain.advanceSlot(this.#timeline.nowMs, behind);
    return chain;
  }
}

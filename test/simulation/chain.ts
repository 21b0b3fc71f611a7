/** The chain of a simulation: its slots follow virtual time, and processes reach it through nodes with faults. */
import { createSolanaRpcFromTransport, isJsonRpcPayload, type RpcTransport } from "@solana/kit";
import { rpcChain } from "../../api/chain/rpc.ts";
import { DevelopmentChain } from "../../api/local/chain/development-chain.ts";
import { faultyTransport } from "../../api/local/chain/faulty-transport.ts";
import type { Chain } from "../../api/ports/chain.ts";
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

export class SimulatedChain {
  readonly #chain: DevelopmentChain;
  readonly #timeline: Timeline;
  readonly #random: SeededRandom;
  readonly #genesisSlot: number;

  constructor(timeline: Timeline, random: SeededRandom) {
    this.#chain = new DevelopmentChain({
      seed: CHAIN_SEED,
      genesisTimeMs: timeline.nowMs,
      slotsToFinalize: SLOTS_TO_FINALIZE,
      blockhashLifetimeBlocks: BLOCKHASH_LIFETIME_BLOCKS,
    });
    this.#timeline = timeline;
    this.#random = random;
    this.#genesisSlot = this.#chain.slot;
  }

  /** The chain as it is now. */
  get now(): DevelopmentChain {
    const slots = Math.floor((this.#timeline.nowMs - this.#timeline.startMs) / SLOT_MS);
    const behind = this.#genesisSlot + slots - this.#chain.slot;
    if (behind > 0) this.#chain.advanceSlot(this.#timeline.nowMs, behind);
    return this.#chain;
  }

  openFor(process: SimulatedProcess, faults: () => Faults): Chain {
    const simulated: RpcTransport = async <TResponse>(config: Parameters<RpcTransport>[0]): Promise<TResponse> => {
      const method = isJsonRpcPayload(config.payload) ? config.payload.method : "unknown";
      return await process.call(
        `rpc ${method}`,
        async () => {
          const chain = this.now;
          return await faultyTransport(chain, faults().chain, () => this.#random.fraction())<TResponse>(config);
        },
        {
          rates: { lostRequest: faults().chainHangs / 2, lostResponse: faults().chainHangs / 2 },
          lost: () => new DOMException("The operation was aborted due to timeout", "TimeoutError"),
          noticedAfterMs: RPC_TIMEOUT_MS,
        },
      );
    };
    return rpcChain(createSolanaRpcFromTransport(simulated), { clock: process.clock, timeoutMs: RPC_TIMEOUT_MS });
  }
}

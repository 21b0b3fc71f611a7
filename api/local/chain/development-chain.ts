import { type Address, isAddress } from "@solana/kit";
import { SYSTEM_PROGRAM_ADDRESS } from "@solana-program/system";
import { getMintEncoder, TOKEN_PROGRAM_ADDRESS } from "@solana-program/token";
import { type ChainSettings, ChainState } from "./chain-state.ts";
import { decodeTransaction } from "./decode-transaction.ts";
import { faucetTransaction, usdcDecimals } from "./faucet-transaction.ts";
import { associatedTokenAddress, type ChainKey, deriveKey } from "./keys.ts";
import { accountMethods } from "./methods/accounts.ts";
import { blockMethods } from "./methods/blocks.ts";
import { clusterMethods } from "./methods/cluster.ts";
import { sendingMethods } from "./methods/sending.ts";
import { transactionMethods } from "./methods/transactions.ts";
import { invalidParams, methodNotFound } from "./rpc-error.ts";
import type { ChainView, Commitment, RpcMethod } from "./rpc-method.ts";
import { readToken } from "./token-state.ts";
import { describeTransactionError } from "./transaction-error.ts";
import type { TransactionRecord } from "./transaction-history.ts";

export interface DevelopmentChainOptions extends Partial<ChainSettings> {
  /** The time of the first block. */
  genesisTimeMs?: number;
  /** Continues a chain from what `snapshot()` gave. */
  snapshot?: Uint8Array;
}

export interface FaucetRequest {
  address: string;
  lamports?: bigint;
  microUsdc?: bigint;
}

export interface FaucetAnswer {
  signature: string;
  /** The balances after the gift. */
  lamports: bigint;
  microUsdc: bigint;
}

/** What changed the chain: the same inputs from the same start give the same chain. */
export type ChainInput =
  | { kind: "slots"; count: number; unixTimeMs: number }
  | { kind: "transaction"; wire: Uint8Array };

export interface ChainListener {
  /** A slot began; transactions land in it from now on. */
  onSlot?(slot: number): void;
  onTransaction?(record: TransactionRecord): void;
  /** Called for every change after it is made and before anybody is told of it. */
  onInput?(input: ChainInput): void;
}

/** With slots of 400 ms, as Solana has them: confirmed after one slot, finalized after 32, about 13 s. */
const defaults: ChainSettings = {
  seed: "volley development chain",
  slotsToConfirm: 1,
  slotsToFinalize: 32,
  blockhashLifetimeBlocks: 150,
};

const lamportsPerSol = 1_000_000_000n;
const faucetLamports = 1_000_000_000n * lamportsPerSol;
const maxGiftLamports = 1_000_000n * lamportsPerSol;
const maxGiftMicroUsdc = 1_000_000_000_000_000n;

const methods: ReadonlyMap<string, RpcMethod> = new Map(
  Object.entries({ ...clusterMethods, ...accountMethods, ...blockMethods, ...transactionMethods, ...sendingMethods }),
);

export const supportedMethods: readonly string[] = [...methods.keys()].sort();

/**
 * A Solana chain for development inside one process: the real virtual machine and programs, one node, blocks made
 * when `advanceSlot` says so, no votes and no forks.
 *
 * It has no clock, no randomness and no I/O: equal settings and calls give equal answers.
 */
export class DevelopmentChain {
  readonly state: ChainState;
  readonly usdcMint: Address;
  readonly faucetAddress: Address;
  readonly #faucetKey: ChainKey;
  readonly #listeners = new Set<ChainListener>();

  constructor(options: DevelopmentChainOptions = {}) {
    const { genesisTimeMs = 0, snapshot, ...given } = options;
    this.state = new ChainState({ ...defaults, ...given }, genesisTimeMs, snapshot);
    const { seed } = this.state.settings;
    this.#faucetKey = deriveKey(seed, "faucet");
    this.faucetAddress = this.#faucetKey.address;
    this.usdcMint = deriveKey(seed, "usdc mint").address;
    if (snapshot === undefined) this.#makeGenesisAccounts();
  }

  /** The slot in progress. */
  get slot(): number {
    return this.state.slot;
  }

  /**
   * Answers a JSON-RPC method of Solana. Throws RpcError with Solana's codes.
   *
   * @param lagSlots answers as a node that has not yet seen the last so many slots.
   */
  call(method: string, params: readonly unknown[] = [], lagSlots = 0): unknown {
    const answer = methods.get(method);
    if (answer === undefined) throw methodNotFound(method);
    return answer(this.view(lagSlots), params);
  }

  view(lagSlots = 0): ChainView {
    const tip = Math.max(0, this.state.slot - lagSlots);
    const { slotsToConfirm, slotsToFinalize } = this.state.settings;
    const depth: Record<Commitment, number> = {
      processed: 0,
      confirmed: slotsToConfirm,
      finalized: slotsToFinalize,
    };
    return {
      state: this.state,
      tip,
      slotAt: (commitment) => Math.max(0, tip - depth[commitment]),
      submit: (wire) => this.submit(wire),
      airdrop: (address, lamports) => this.faucet({ address, lamports }).signature,
    };
  }

  /** Ends the slot in progress and begins the next one, or the one `slots` further; the time is the new block's. */
  advanceSlot(unixTimeMs: number, slots = 1): void {
    this.state.advance(slots, unixTimeMs);
    this.#announce((listener) => listener.onInput?.({ kind: "slots", count: slots, unixTimeMs }));
    this.#announce((listener) => listener.onSlot?.(this.state.slot));
  }

  /**
   * Sends the wire bytes of a transaction without trying it out first. Answers what landed, or null when the chain
   * drops it: expired, already there, wrongly signed, or without a payer of the fee. Throws RpcError -32602 for bytes
   * that are no transaction.
   */
  submit(wire: Uint8Array): TransactionRecord | null {
    const record = this.state.land(decodeTransaction(wire));
    if (record === null) return null;
    this.#announce((listener) => listener.onInput?.({ kind: "transaction", wire: record.wire }));
    this.#announce((listener) => listener.onTransaction?.(record));
    return record;
  }

  /** Repeats a change that `onInput` told of. */
  repeat(input: ChainInput): void {
    if (input.kind === "slots") this.advanceSlot(input.unixTimeMs, input.count);
    else this.submit(input.wire);
  }

  /**
   * Gives SOL and USDC out of nothing, in one transaction that the chain shows like any other. Throws RpcError
   * -32602 when the address or an amount makes no sense.
   */
  faucet({ address, lamports = 0n, microUsdc = 0n }: FaucetRequest): FaucetAnswer {
    if (!isAddress(address)) throw invalidParams("address: expected an address, 32 bytes in base58");
    if (lamports < 0n || microUsdc < 0n || lamports + microUsdc === 0n) {
      throw invalidParams("ask for a positive amount of SOL, of USDC, or of both");
    }
    if (lamports > maxGiftLamports || microUsdc > maxGiftMicroUsdc) {
      throw invalidParams("the faucet gives at most 1,000,000 SOL and 1,000,000,000 USDC at once");
    }
    const { state } = this;
    const gift = { address, lamports, microUsdc };
    const blockhash = state.blockhash(state.slot);
    const wire = faucetTransaction(this.#faucetKey, this.usdcMint, gift, blockhash, state.history.all.length);
    const record = this.submit(wire);
    if (record === null || record.execution.err !== null) {
      const err = record?.execution.err ?? "it was dropped";
      throw invalidParams(`the faucet's transaction failed: ${describeTransactionError(err)}`);
    }
    const token = readToken(state.account(associatedTokenAddress(address, this.usdcMint), state.slot));
    return {
      signature: record.signature,
      lamports: state.account(address, state.slot)?.lamports ?? 0n,
      microUsdc: token?.amount ?? 0n,
    };
  }

  /** Tells the listener of every later change; the answer stops that. */
  listen(listener: ChainListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Everything needed to continue this chain in another process, with the same seed. */
  snapshot(): Uint8Array {
    return this.state.snapshot();
  }

  #announce(tell: (listener: ChainListener) => void): void {
    for (const listener of this.#listeners) tell(listener);
  }

  #makeGenesisAccounts(): void {
    const { svm } = this.state;
    svm.setAccount(this.faucetAddress, {
      lamports: faucetLamports,
      data: new Uint8Array(),
      owner: SYSTEM_PROGRAM_ADDRESS,
      executable: false,
    });
    const mint = getMintEncoder().encode({
      mintAuthority: this.faucetAddress,
      supply: 0n,
      decimals: usdcDecimals,
      isInitialized: true,
      freezeAuthority: this.faucetAddress,
    });
    svm.setAccount(this.usdcMint, {
      lamports: svm.rentExemptLamports(mint.length),
      data: Uint8Array.from(mint),
      owner: TOKEN_PROGRAM_ADDRESS,
      executable: false,
    });
  }
}

import type { LoadedAddresses } from "./lookup-table.ts";
import type { Execution } from "./svm.ts";
import type { TokenBalance } from "./token-state.ts";

/** What the chain keeps of a transaction that landed, successful or not. */
export interface TransactionRecord {
  signature: string;
  slot: number;
  /** Seconds, the time of the block. */
  blockTime: number;
  wire: Uint8Array;
  /** Static keys, then loaded writable ones, then loaded read-only ones. */
  keys: string[];
  loaded: LoadedAddresses;
  /** The text that getSignaturesForAddress shows: `[length] memo` for each memo. */
  memo: string | null;
  execution: Execution;
  feeLamports: bigint;
  preBalances: bigint[];
  postBalances: bigint[];
  preTokenBalances: TokenBalance[];
  postTokenBalances: TokenBalance[];
}

/** All transactions of the chain, oldest first, with the indexes that the RPC reads by. */
export class TransactionHistory {
  readonly #records: TransactionRecord[] = [];
  readonly #bySignature = new Map<string, TransactionRecord>();
  readonly #byAddress = new Map<string, TransactionRecord[]>();
  readonly #bySlot = new Map<number, TransactionRecord[]>();

  get all(): readonly TransactionRecord[] {
    return this.#records;
  }

  add(record: TransactionRecord): void {
    this.#records.push(record);
    this.#bySignature.set(record.signature, record);
    append(this.#bySlot, record.slot, record);
    for (const key of new Set(record.keys)) append(this.#byAddress, key, record);
  }

  bySignature(signature: string): TransactionRecord | undefined {
    return this.#bySignature.get(signature);
  }

  /** Oldest first. */
  forAddress(address: string): readonly TransactionRecord[] {
    return this.#byAddress.get(address) ?? [];
  }

  inSlot(slot: number): readonly TransactionRecord[] {
    return this.#bySlot.get(slot) ?? [];
  }
}

function append<K>(index: Map<K, TransactionRecord[]>, key: K, record: TransactionRecord): void {
  const list = index.get(key);
  if (list === undefined) index.set(key, [record]);
  else list.push(record);
}

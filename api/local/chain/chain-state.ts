import { createHash } from "node:crypto";
import { deserialize, serialize } from "node:v8";
import { encodeBase58 } from "./bytes.ts";
import type { DecodedTransaction } from "./decode-transaction.ts";
import { isNonceTransaction } from "./durable-nonce.ts";
import { type LoadedAddresses, loadAddresses } from "./lookup-table.ts";
import { memosOf } from "./memo.ts";
import { type ChainAccount, type Simulation, Svm } from "./svm.ts";
import { readToken, tokenBalances, tokenPrograms } from "./token-state.ts";
import { TransactionHistory, type TransactionRecord } from "./transaction-history.ts";

export interface ChainSettings {
  /** Decides the genesis hash and every key of the chain. */
  seed: string;
  slotsToConfirm: number;
  slotsToFinalize: number;
  /** How many blocks a blockhash may be old when a transaction with it lands; Solana has 150. */
  blockhashLifetimeBlocks: number;
}

interface Snapshot {
  format: 1;
  seed: string;
  svm: Uint8Array;
  slot: number;
  times: SlotTime[];
  records: TransactionRecord[];
  previousAccounts: Map<number, Map<string, ChainAccount | null>>;
}

interface SlotTime {
  slot: number;
  unixTimeMs: number;
}

/** How many slots further back than the finalized one accounts can still be read as they were. */
const lagSlots = 64;
const maxSlotTimes = 20_000;
/** As many entries as Solana's slot hashes sysvar has. */
const slotHashCount = 512;

/** The whole state of the development chain and its only two transitions: a slot passes, a transaction lands. */
export class ChainState {
  readonly settings: ChainSettings;
  readonly svm: Svm;
  readonly history = new TransactionHistory();
  #slot = 0;
  /** The slot whose clock and slot hashes the virtual machine has; they are brought up only before it is used. */
  #presentSlot = -1;
  #times: SlotTime[] = [];
  readonly #blockhashes = new Map<number, string>();
  /** By slot: what the accounts that it changed were before it. */
  #previousAccounts = new Map<number, Map<string, ChainAccount | null>>();
  readonly #programs = new Map<string, ChainAccount>();
  readonly #tokensByOwner = new Map<string, Set<string>>();

  constructor(settings: ChainSettings, genesisTimeMs: number, snapshot?: Uint8Array) {
    this.settings = settings;
    if (snapshot === undefined) {
      this.svm = new Svm();
      // The first slots are past and empty, so that nothing can land in a slot that is final at once.
      this.#slot = settings.slotsToFinalize;
      this.#times.push({ slot: 0, unixTimeMs: genesisTimeMs });
      return;
    }
    const saved = deserialize(snapshot) as Snapshot;
    if (saved.format !== 1 || saved.seed !== settings.seed) {
      throw new Error(
        "The saved state belongs to another chain; use an empty folder, or the settings it was made with",
      );
    }
    this.svm = new Svm(saved.svm);
    this.#slot = saved.slot;
    this.#times = saved.times;
    this.#previousAccounts = saved.previousAccounts;
    for (const record of saved.records) this.history.add(record);
    for (const program of tokenPrograms) {
      for (const [address, account] of this.svm.programAccounts(program)) this.#indexToken(address, account);
    }
  }

  snapshot(): Uint8Array {
    const state: Snapshot = {
      format: 1,
      seed: this.settings.seed,
      svm: this.svm.toBytes(),
      slot: this.#slot,
      times: this.#times,
      records: [...this.history.all],
      previousAccounts: this.#previousAccounts,
    };
    return Uint8Array.from(serialize(state));
  }

  /** The slot in progress: transactions land here. Every slot has a block, so it is the block height too. */
  get slot(): number {
    return this.#slot;
  }

  advance(slots: number, unixTimeMs: number): void {
    const last = this.#times.at(-1)?.unixTimeMs ?? unixTimeMs;
    this.#slot += slots;
    // A block is never older than the one before it, whatever the given clock does.
    this.#times.push({ slot: this.#slot, unixTimeMs: Math.max(unixTimeMs, last) });
    if (this.#times.length > maxSlotTimes) this.#times = this.#times.slice(maxSlotTimes / 2);
    const oldest = this.#slot - this.settings.slotsToFinalize - lagSlots;
    for (const slot of this.#previousAccounts.keys()) {
      if (slot > oldest) break;
      this.#previousAccounts.delete(slot);
    }
  }

  /** Seconds, or null for a slot without transactions whose time is no longer kept. */
  blockTime(slot: number): number | null {
    const landed = this.history.inSlot(slot)[0];
    if (landed !== undefined) return landed.blockTime;
    const known = this.#times.findLast((time) => time.slot <= slot);
    return known === undefined ? null : Math.floor(known.unixTimeMs / 1000);
  }

  get genesisHash(): string {
    return encodeBase58(createHash("sha256").update(this.settings.seed).digest());
  }

  blockhash(slot: number): string {
    const known = this.#blockhashes.get(slot);
    if (known !== undefined) return known;
    const hash = encodeBase58(createHash("sha256").update(`${this.settings.seed}\n${slot}`).digest());
    this.#blockhashes.set(slot, hash);
    for (const old of this.#blockhashes.keys()) {
      if (this.#blockhashes.size <= 2 * slotHashCount) break;
      this.#blockhashes.delete(old);
    }
    return hash;
  }

  /** The slot of a blockhash that still lives in the block of `slot`, or null. */
  slotOfLiveBlockhash(blockhash: string, slot: number): number | null {
    const oldest = Math.max(0, slot - this.settings.blockhashLifetimeBlocks);
    for (let candidate = slot; candidate >= oldest; candidate--) {
      if (this.blockhash(candidate) === blockhash) return candidate;
    }
    return null;
  }

  /** Whether a transaction may land in the block of `slot`, by its recent blockhash or its durable nonce. */
  isLive(transaction: DecodedTransaction, slot: number): boolean {
    return (
      this.slotOfLiveBlockhash(transaction.blockhash, slot) !== null ||
      isNonceTransaction(transaction, (address) => this.svm.account(address))
    );
  }

  /** An account as it was at the end of `slot`. */
  account(address: string, slot: number): ChainAccount | null {
    if (slot < this.#slot) {
      for (const [changedIn, accounts] of this.#previousAccounts) {
        const before = accounts.get(address);
        if (changedIn > slot && before !== undefined) return before;
      }
    }
    return this.svm.account(address);
  }

  /** Every token account that is or was the owner's. */
  tokenAccountsEverOf(owner: string): Iterable<string> {
    return this.#tokensByOwner.get(owner) ?? [];
  }

  simulate(wire: Uint8Array, verifySignatures: boolean): Simulation {
    this.#bringUpPresent();
    return this.svm.simulate(wire, verifySignatures);
  }

  /** The accounts of a transaction's lookups; none where a table or entry is missing, since then nothing runs. */
  loadedAddresses(transaction: Pick<DecodedTransaction, "lookups">): LoadedAddresses {
    return loadAddresses(transaction.lookups, (address) => this.svm.account(address)) ?? { writable: [], readonly: [] };
  }

  /**
   * Lands a transaction in the present slot, and says whether it did. Dropped, as by Solana's leaders, are those that
   * are dead, already there, wrongly signed, or that nobody can pay the fee of. Failed ones land and cost their fee.
   */
  land(transaction: DecodedTransaction): TransactionRecord | null {
    if (this.history.bySignature(transaction.signature) !== undefined) return null;
    if (!this.isLive(transaction, this.#slot)) return null;
    const loaded = this.loadedAddresses(transaction);
    const keys = [...transaction.staticKeys, ...loaded.writable, ...loaded.readonly];
    const read = () => keys.map((key) => this.#accountOfTransaction(key));
    const mintAccount = (mint: string) => this.svm.account(mint);
    this.#bringUpPresent();
    const before = read();
    const preTokenBalances = tokenBalances(keys, before, mintAccount);
    const execution = this.svm.send(transaction.wire);
    const after = read();
    const preBalances = before.map((account) => account?.lamports ?? 0n);
    const postBalances = after.map((account) => account?.lamports ?? 0n);
    const feeLamports = sum(preBalances) - sum(postBalances);
    if (execution.err !== null && feeLamports === 0n) return null;
    this.#rememberChanges(keys, before, after);
    const record: TransactionRecord = {
      signature: transaction.signature,
      slot: this.#slot,
      blockTime: Math.floor((this.#times.at(-1)?.unixTimeMs ?? 0) / 1000),
      wire: transaction.wire,
      keys,
      loaded,
      memo: memosOf(transaction),
      execution,
      feeLamports,
      preBalances,
      postBalances,
      preTokenBalances,
      postTokenBalances: tokenBalances(keys, after, mintAccount),
    };
    this.history.add(record);
    return record;
  }

  /** Like `svm.account`, without the code of programs, which is large and named by nearly every transaction. */
  #accountOfTransaction(address: string): ChainAccount | null {
    const program = this.#programs.get(address);
    if (program !== undefined) return { ...program, lamports: this.svm.balance(address) };
    const account = this.svm.account(address);
    if (account?.executable === true) this.#programs.set(address, { ...account, data: new Uint8Array() });
    return account;
  }

  #rememberChanges(keys: string[], before: (ChainAccount | null)[], after: (ChainAccount | null)[]): void {
    const previous = this.#previousAccounts.get(this.#slot) ?? new Map<string, ChainAccount | null>();
    this.#previousAccounts.set(this.#slot, previous);
    for (const [index, key] of keys.entries()) {
      const was = before[index] ?? null;
      const is = after[index] ?? null;
      if (sameAccount(was, is)) continue;
      if (!previous.has(key)) previous.set(key, was);
      this.#indexToken(key, is);
    }
  }

  #indexToken(address: string, account: ChainAccount | null): void {
    const token = readToken(account);
    if (token === null) return;
    const owned = this.#tokensByOwner.get(token.owner) ?? new Set<string>();
    this.#tokensByOwner.set(token.owner, owned.add(address));
  }

  #bringUpPresent(): void {
    if (this.#presentSlot === this.#slot) return;
    const hashes: { slot: number; hash: string }[] = [];
    for (let slot = this.#slot - 1; slot >= 0 && hashes.length < slotHashCount; slot--) {
      hashes.push({ slot, hash: this.blockhash(slot) });
    }
    this.svm.setPresent(this.#slot, Math.floor((this.#times.at(-1)?.unixTimeMs ?? 0) / 1000), hashes);
    this.#presentSlot = this.#slot;
  }
}

const sum = (values: bigint[]): bigint => values.reduce((total, value) => total + value, 0n);

function sameAccount(one: ChainAccount | null, other: ChainAccount | null): boolean {
  if (one === null || other === null) return one === other;
  return (
    one.lamports === other.lamports &&
    one.owner === other.owner &&
    one.executable === other.executable &&
    Buffer.compare(one.data, other.data) === 0
  );
}

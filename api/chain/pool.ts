/**
 * One chain over several nodes, none of which is trusted alone. What a node doesn't know is asked of the others, lists
 * are what any of them lists, and where a quorum is asked for, so many nodes must say the same.
 */
import {
  createSolanaRpc,
  isSolanaError,
  type Rpc,
  SOLANA_ERROR__JSON_RPC__INVALID_PARAMS,
  SOLANA_ERROR__JSON_RPC__SERVER_ERROR_MIN_CONTEXT_SLOT_NOT_REACHED,
  SOLANA_ERROR__JSON_RPC__SERVER_ERROR_SEND_TRANSACTION_PREFLIGHT_FAILURE,
  SOLANA_ERROR__JSON_RPC__SERVER_ERROR_UNSUPPORTED_TRANSACTION_VERSION,
  type SolanaRpcApi,
} from "@solana/kit";
import { type Chain, ChainError, type ChainTransaction, type Reading } from "../ports/chain.ts";
import type { Clock } from "../ports/clock.ts";
import type { Metrics } from "../ports/metrics.ts";
import { listOverNodes } from "./list-over-nodes.ts";
import { type CallOutcome, NodeHealth } from "./node-health.ts";
import { rpcChain } from "./rpc.ts";

export interface PoolNode {
  /** For metrics: never a whole address, which may hold a key. */
  readonly name: string;
  readonly rpc: Rpc<SolanaRpcApi>;
}

export interface PoolOptions {
  readonly clock: Clock;
  readonly metrics: Pick<Metrics, "count" | "gauge" | "observe">;
  readonly timeoutMs?: number;
}

/** A node that is slower is passed over; a lone node gets its own adapter's patience. */
const TIMEOUT_MS = 2_500;
/** Times that the whole pool is asked before it counts as silent or at odds, with pauses that double. */
const ROUNDS = 3;
const FIRST_PAUSE_MS = 100;
/** How long an answer that is good enough waits for those of slower nodes. */
const STRAGGLERS_MS = 400;
/** Blockhashes of two nodes are of the same time when their last heights differ by no more. */
const HEIGHT_TOLERANCE = 32n;

export function poolAt(urls: readonly string[], options: PoolOptions): Chain {
  const names = urls.map((url, index) => `${index}:${new URL(url).hostname}`);
  return chainPool(
    urls.map((url, index) => ({ name: names[index] ?? `${index}`, rpc: createSolanaRpc(url) })),
    options,
  );
}

export function chainPool(nodes: readonly PoolNode[], options: PoolOptions): Chain {
  const pool = new Pool(nodes, options);
  return {
    signaturesForAddress: listOverNodes((ask, only) => pool.gather(1, ask, { only })),

    async transaction(signature, commitment, reading) {
      return await pool.agree(reading, (node) => node.transaction(signature, commitment), fingerprint);
    },

    async signatureStatus(signature, reading) {
      const ask = (node: Chain) => node.signatureStatus(signature);
      const quorum = pool.quorum(reading);
      if (quorum === 1) return await pool.inTurn(ask, (answer) => answer !== null);
      // One node that knows it is enough: the question with a quorum is whether it is gone.
      const isKnown = (some: readonly unknown[]) => some.some((answer) => answer !== null);
      const answers = await pool.gather(quorum, ask, { isDecisive: isKnown });
      return answers.find((answer) => answer !== null) ?? null;
    },

    async latestBlockhash() {
      const answers = await pool.gather(1, (node) => node.latestBlockhash());
      const [first] = answers;
      if (first !== undefined && answers.length === 1) return first;
      // Who understates the last height makes us sign anew while the old bytes can still land; so two have to agree.
      for (const one of answers) {
        const other = answers.find(
          (each) => each !== one && isNear(each.lastValidBlockHeight, one.lastValidBlockHeight),
        );
        if (other === undefined) continue;
        const lastValidBlockHeight = larger(one.lastValidBlockHeight, other.lastValidBlockHeight);
        return { blockhash: one.blockhash, lastValidBlockHeight };
      }
      throw pool.atOdds("getLatestBlockhash");
    },

    isBlockhashValid: (blockhash) =>
      pool.inTurn(
        (node) => node.isBlockhashValid(blockhash),
        (isValid) => isValid,
      ),

    blockHeight: (commitment, reading) => pool.reached(reading, (node) => node.blockHeight(commitment)),

    slot: (commitment, reading) => pool.reached(reading, (node) => node.slot(commitment)),

    async sendTransaction(transactionBase64) {
      await pool.gather(1, (node) => node.sendTransaction(transactionBase64));
    },

    async tokenBalance(tokenAccount, commitment, reading) {
      return await pool.agree(reading, (node) => node.tokenBalance(tokenAccount, commitment), String);
    },

    async lamports(at, reading) {
      return (await pool.agree(reading, (node) => node.lamports(at), String)) ?? 0n;
    },

    async tokenAccount(at, reading) {
      const ask = (node: Chain) => node.tokenAccount(at);
      if (pool.quorum(reading) === 1) return await pool.inTurn(ask, (answer) => answer !== null);
      return await pool.agree(reading, ask, ({ owner, isFrozen }) => `${owner} ${isFrozen}`);
    },

    async accountOwner(at, reading) {
      const ask = (node: Chain) => node.accountOwner(at);
      if (pool.quorum(reading) === 1) return await pool.inTurn(ask, (answer) => answer !== null);
      return await pool.agree(reading, ask, String);
    },
  };
}

type Ask<Answer> = (node: Chain, index: number) => Promise<Answer>;

interface Gathering<Answer> {
  /** Whether the answers, `least` or more, need not wait for others. */
  readonly isDecisive?: (answers: readonly Answer[]) => boolean;
  /** Only these nodes. */
  readonly only?: ReadonlySet<number> | undefined;
}

/** How to ask the nodes; what to make of their answers is the caller's to say. */
class Pool {
  readonly #nodes: readonly Chain[];
  readonly #health: NodeHealth;
  readonly #clock: Clock;
  readonly #metrics: PoolOptions["metrics"];

  constructor(nodes: readonly PoolNode[], { clock, metrics, timeoutMs }: PoolOptions) {
    const names = nodes.map(({ name }) => name);
    this.#health = new NodeHealth(names, clock, metrics);
    this.#clock = clock;
    this.#metrics = metrics;
    // With others to ask, a node that doesn't answer is passed over instead of being asked again.
    const alone = nodes.length === 1;
    this.#nodes = nodes.map(({ rpc }, index) =>
      rpcChain(rpc, {
        clock,
        ...(alone ? {} : { tries: 1, timeoutMs: TIMEOUT_MS }),
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
        floor: (commitment) => this.#health.seen(commitment),
        onSlot: (commitment, slot) => this.#health.noteSlot(index, commitment, slot),
      }),
    );
  }

  quorum(reading: Reading | undefined): number {
    return Math.min(reading?.quorum ?? 1, this.#nodes.length);
  }

  /** Asks one node after another until an answer is accepted; else what the last one that answered said. */
  inTurn<Answer>(ask: Ask<Answer>, accept: (answer: Answer) => boolean): Promise<Answer> {
    return this.#rounds(async () => {
      let last: { readonly answer: Answer } | null = null;
      let error: unknown;
      for (const index of this.#health.order()) {
        try {
          const answer = await this.#call(index, ask);
          if (accept(answer)) return answer;
          last = { answer };
        } catch (cause) {
          if (!(cause instanceof ChainError)) throw cause;
          error = cause;
        }
      }
      if (last === null) throw error;
      return last.answer;
    });
  }

  /**
   * Asks all nodes at once that aren't resting, and at least `least`. Done when all have answered or failed, when the
   * answers are decisive, or, with `least` of them, when the others have had a little time more.
   * @throws {ChainError} when fewer than `least` answer
   */
  gather<Answer>(least: number, ask: Ask<Answer>, options: Gathering<Answer> = {}): Promise<readonly Answer[]> {
    return this.#rounds(() => this.#gatherOnce(least, ask, options));
  }

  /**
   * What two nodes say alike, by its fingerprint; where the reading asks for no quorum, also what one says alone, as
   * long as none contradicts it. That something isn't there counts only if no node has it.
   * @throws {ChainError} when the nodes are at odds
   */
  agree<Answer>(
    reading: Reading | undefined,
    ask: (node: Chain) => Promise<Answer | null>,
    print: (answer: Answer) => string,
  ): Promise<Answer | null> {
    const quorum = this.quorum(reading);
    const alike = Math.max(quorum, Math.min(2, this.#nodes.length));
    return this.#rounds(async () => {
      const isDecisive = (some: readonly (Answer | null)[]) => mostOf(some, print).count >= alike;
      const answers = await this.#gatherOnce(quorum, ask, { isDecisive });
      const { answer, count, different } = mostOf(answers, print);
      if (answer === null || count >= alike || (quorum === 1 && different === 1)) return answer;
      throw this.atOdds("a read");
    });
  }

  /** The slot or height that as many nodes have reached as the reading asks for. */
  async reached(reading: Reading | undefined, ask: (node: Chain) => Promise<bigint>): Promise<bigint> {
    const quorum = this.quorum(reading);
    if (quorum === 1) return await this.inTurn(ask, () => true);
    const answers = await this.gather(quorum, ask);
    const reached = answers.toSorted((a, b) => (a < b ? 1 : -1))[quorum - 1];
    if (reached === undefined) throw this.atOdds("a height");
    return reached;
  }

  atOdds(what: string): ChainError {
    this.#metrics.count("volley_chain_quorum_failures_total");
    return new ChainError(`the nodes do not agree about ${what}`);
  }

  async #rounds<Answer>(round: () => Promise<Answer>): Promise<Answer> {
    const rounds = this.#nodes.length === 1 ? 1 : ROUNDS;
    for (let done = 1; ; done++) {
      try {
        return await round();
      } catch (error) {
        if (done >= rounds || !(error instanceof ChainError) || isRefusal(error)) throw error;
        await this.#clock.sleep(FIRST_PAUSE_MS * 2 ** (done - 1));
      }
    }
  }

  async #gatherOnce<Answer>(
    least: number,
    ask: Ask<Answer>,
    { isDecisive = () => false, only }: Gathering<Answer>,
  ): Promise<readonly Answer[]> {
    const answers: Answer[] = [];
    const errors: unknown[] = [];
    const good = Promise.withResolvers<void>();
    const decided = Promise.withResolvers<void>();
    const chosen =
      only === undefined ? this.#health.awake(least) : this.#health.order().filter((each) => only.has(each));
    const asked = chosen.map(async (index) => {
      try {
        answers.push(await this.#call(index, ask));
      } catch (error) {
        errors.push(error);
      }
      if (answers.length >= least) good.resolve();
      if (answers.length >= least && isDecisive(answers)) decided.resolve();
    });
    const all = Promise.all(asked);
    const waiting = new AbortController();
    const enough = good.promise.then(() => this.#clock.sleep(STRAGGLERS_MS, waiting.signal)).catch(() => undefined);
    await Promise.race([all, decided.promise, enough]);
    waiting.abort();
    const unexpected = errors.find((error) => !(error instanceof ChainError));
    if (unexpected !== undefined) throw unexpected;
    if (answers.length < least) {
      throw errors[0] ?? new ChainError(`only ${answers.length} of ${least} nodes have answered`);
    }
    return [...answers];
  }

  async #call<Answer>(index: number, ask: Ask<Answer>): Promise<Answer> {
    const node = this.#nodes[index];
    if (node === undefined) throw new RangeError(`there is no node ${index}`);
    const startedMs = this.#clock.nowMs();
    try {
      const answer = await ask(node, index);
      this.#health.noteCall(index, "ok", startedMs);
      return answer;
    } catch (error) {
      this.#health.noteCall(index, outcomeOf(error), startedMs);
      throw error;
    }
  }
}

/** The answer that most nodes give, how many do, and how many different ones there are; null only when all say so. */
function mostOf<Answer>(answers: readonly (Answer | null)[], print: (answer: Answer) => string) {
  const counts = new Map<string, number>();
  let most: { readonly answer: Answer | null; readonly count: number } = { answer: null, count: 0 };
  for (const answer of answers) {
    if (answer === null) continue;
    const key = print(answer);
    const count = (counts.get(key) ?? 0) + 1;
    counts.set(key, count);
    if (count > most.count) most = { answer, count };
  }
  return { ...most, different: counts.size };
}

const REFUSALS = [
  SOLANA_ERROR__JSON_RPC__INVALID_PARAMS,
  SOLANA_ERROR__JSON_RPC__SERVER_ERROR_SEND_TRANSACTION_PREFLIGHT_FAILURE,
  SOLANA_ERROR__JSON_RPC__SERVER_ERROR_UNSUPPORTED_TRANSACTION_VERSION,
] as const;

const isRefusal = (error: ChainError) => REFUSALS.some((code) => isSolanaError(error.cause, code));

function outcomeOf(error: unknown): CallOutcome {
  const cause = error instanceof ChainError ? error.cause : error;
  if (isSolanaError(cause, SOLANA_ERROR__JSON_RPC__SERVER_ERROR_MIN_CONTEXT_SLOT_NOT_REACHED)) return "lagging";
  return error instanceof ChainError && isRefusal(error) ? "refused" : "failed";
}

/** All that decides what a transaction is worth. Its time is left out: it is each node's own estimate. */
function fingerprint(transaction: ChainTransaction): string {
  const { blockTimeSeconds: _, ...facts } = transaction;
  return JSON.stringify(facts, (_key, value) =>
    typeof value === "bigint" ? `${value}` : value instanceof Uint8Array ? [...value] : value,
  );
}

const isNear = (one: bigint, two: bigint) => (one > two ? one - two : two - one) <= HEIGHT_TOLERANCE;

const larger = (one: bigint, two: bigint) => (one >= two ? one : two);

/** The Solana chain as the payment code needs it. Adapters: JSON-RPC through kit; a faulty one for tests. */

export type Commitment = "processed" | "confirmed" | "finalized";

export interface SignatureInfo {
  readonly signature: string;
  readonly slot: bigint;
  readonly failed: boolean;
  readonly blockTimeSeconds: number | null;
}

/** One token balance of a transaction, before or after. */
export interface TokenBalance {
  /** Index into `ChainTransaction.accountKeys`. */
  readonly accountIndex: number;
  readonly mint: string;
  readonly owner: string | null;
  readonly programId: string | null;
  readonly amount: bigint;
}

/** An instruction, top-level or inner, undecoded: programs and accounts by address, data as bytes. */
export interface ChainInstruction {
  readonly programId: string;
  readonly accounts: readonly string[];
  readonly data: Uint8Array;
}

export interface ChainTransaction {
  readonly signature: string;
  /** Of all signers, the fee payer's first, which is the one above. */
  readonly signatures: readonly string[];
  readonly slot: bigint;
  readonly blockTimeSeconds: number | null;
  readonly failed: boolean;
  /** Static keys followed by those loaded from lookup tables. */
  readonly accountKeys: readonly string[];
  /** In order of execution: each top-level instruction followed by its inner ones. */
  readonly instructions: readonly ChainInstruction[];
  readonly preTokenBalances: readonly TokenBalance[];
  readonly postTokenBalances: readonly TokenBalance[];
}

export interface SignatureStatus {
  readonly commitment: Commitment;
  readonly failed: boolean;
}

export interface SignaturePage {
  /** The last entry of the page before this one. */
  readonly before?: string;
  /** Where the list ends, that entry left out. */
  readonly until?: string;
  /** The slot of `until`: a node that doesn't know the entry ends its list where its entries are older. */
  readonly untilSlot?: bigint;
  readonly limit?: number;
  readonly commitment: "confirmed" | "finalized";
}

export interface TokenAccountState {
  /** Wallet that can move what is in it. */
  readonly owner: string;
  /** By the mint's issuer: nothing comes in or goes out. */
  readonly isFrozen: boolean;
}

export interface Reading {
  /**
   * So many nodes have to say the same, or no answer is given; fewer only where fewer are configured. Default 1: the
   * first node that knows something is believed.
   */
  readonly quorum?: number;
}

/** What decides about large amounts, or that something is gone for good, is not left to one node. */
export const TWO_NODES: Reading = { quorum: 2 };

/** Every call has a timeout of its own and throws `ChainError` when no node answers, or not enough of them agree. */
export interface Chain {
  /** Newest first, 1,000 or `limit`, and the end if there are fewer. With several nodes, what any of them lists. */
  signaturesForAddress(address: string, page: SignaturePage): Promise<readonly SignatureInfo[]>;
  /** Null when no node knows it at that commitment: never proof that it doesn't exist. */
  transaction(
    signature: string,
    commitment: "confirmed" | "finalized",
    reading?: Reading,
  ): Promise<ChainTransaction | null>;
  /** With a quorum, null only if so many nodes don't know it and none does. */
  signatureStatus(signature: string, reading?: Reading): Promise<SignatureStatus | null>;
  latestBlockhash(): Promise<{ blockhash: string; lastValidBlockHeight: bigint }>;
  /** Whether a transaction with this blockhash can still land, as far as any node knows. */
  isBlockhashValid(blockhash: string): Promise<boolean>;
  /** With a quorum, the height that so many nodes have reached; the same goes for slots. */
  blockHeight(commitment: "confirmed" | "finalized", reading?: Reading): Promise<bigint>;
  slot(commitment: "confirmed" | "finalized", reading?: Reading): Promise<bigint>;
  /** Sends signed bytes (base64) to every node. Sending the same bytes twice is harmless. */
  sendTransaction(transactionBase64: string): Promise<void>;
  /** Micro-units that a token account holds; null when the account doesn't exist. */
  tokenBalance(tokenAccount: string, commitment: "confirmed" | "finalized", reading?: Reading): Promise<bigint | null>;
  /** Lamports of a wallet; 0 where there is none. */
  lamports(address: string, reading?: Reading): Promise<bigint>;
  /** How a token account is; null when no node knows it. */
  tokenAccount(tokenAccount: string, reading?: Reading): Promise<TokenAccountState | null>;
  /** The program that owns an account; null when there is none at the address. */
  accountOwner(address: string, reading?: Reading): Promise<string | null>;
}

export class ChainError extends Error {
  override readonly name = "ChainError";
}

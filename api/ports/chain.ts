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

/** Every call has a timeout of its own and throws `ChainError` when the node doesn't answer. */
export interface Chain {
  /** Newest first, at most 1,000; page on with `before`. */
  signaturesForAddress(
    address: string,
    options: { before?: string; until?: string; limit?: number; commitment: "confirmed" | "finalized" },
  ): Promise<readonly SignatureInfo[]>;
  /** Null when the node doesn't know it at that commitment: never proof that it doesn't exist. */
  transaction(signature: string, commitment: "confirmed" | "finalized"): Promise<ChainTransaction | null>;
  signatureStatus(signature: string): Promise<SignatureStatus | null>;
  latestBlockhash(): Promise<{ blockhash: string; lastValidBlockHeight: bigint }>;
  blockHeight(commitment: "confirmed" | "finalized"): Promise<bigint>;
  slot(commitment: "confirmed" | "finalized"): Promise<bigint>;
  /** Sends signed bytes (base64). Sending the same bytes twice is harmless. */
  sendTransaction(transactionBase64: string): Promise<void>;
  /** Micro-units that a token account holds; null when the account doesn't exist. */
  tokenBalance(tokenAccount: string, commitment: "confirmed" | "finalized"): Promise<bigint | null>;
  /** The program that owns an account; null when there is none at the address. */
  accountOwner(address: string): Promise<string | null>;
}

export class ChainError extends Error {
  override readonly name = "ChainError";
}

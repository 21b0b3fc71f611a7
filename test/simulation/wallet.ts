/** A renter's wallet: pays as wallets do, and in every way in which payments go wrong. */
import {
  AccountRole,
  type Address,
  address,
  appendTransactionMessageInstructions,
  type Blockhash,
  compileTransaction,
  createNoopSigner,
  createTransactionMessage,
  getBase58Decoder,
  getBase64EncodedWireTransaction,
  getTransactionEncoder,
  type Instruction,
  pipe,
  type SignatureBytes,
  setTransactionMessageFeePayer,
  setTransactionMessageLifetimeUsingBlockhash,
  type Transaction,
} from "@solana/kit";
import { getAddMemoInstruction } from "@solana-program/memo";
import {
  getCreateAssociatedTokenIdempotentInstruction,
  getMintEncoder,
  getMintToCheckedInstruction,
  getTransferCheckedInstruction,
  TOKEN_PROGRAM_ADDRESS,
} from "@solana-program/token";
import type { DevelopmentChain } from "../../api/local/chain/development-chain.ts";
import { associatedTokenAddress, type ChainKey, deriveKey } from "../../api/local/chain/keys.ts";
import { computeBudget, type Requirements } from "../x402/payment.ts";
import type { SimulatedChain } from "./chain.ts";

const DECIMALS = 6;
const LAMPORTS = 1_000_000_000n;

export interface Part {
  readonly amountMicroUsdc: bigint;
  /** In order; a transfer counts for the first that is one of ours. */
  readonly references: readonly string[];
}

/** What a transaction really did, for checks that don't ask Volley. */
export interface SentTransaction {
  readonly signature: string;
  readonly landed: boolean;
}

export class Wallet {
  readonly address: Address;
  readonly #key: ChainKey;
  readonly #chain: SimulatedChain;
  readonly #treasury: Address;
  /** Makes two equal payments in one slot two transactions. */
  #serial = 0;

  constructor(name: string, chain: SimulatedChain, treasury: string) {
    this.#key = deriveKey(name, "wallet");
    this.address = this.#key.address;
    this.#chain = chain;
    this.#treasury = address(treasury);
  }

  fund(microUsdc: bigint): void {
    this.#chain.now.faucet({ address: this.address, lamports: LAMPORTS, microUsdc });
  }

  /** Base58, as for Sign-In With Solana. */
  signMessage(message: string): string {
    return getBase58Decoder().decode(this.#key.sign(new TextEncoder().encode(message)));
  }

  get usdcAccount(): Address {
    return associatedTokenAddress(this.address, this.#chain.now.usdcMint);
  }

  /** One transaction with a transfer of USDC for each part. */
  pay(parts: readonly Part[]): SentTransaction {
    return this.#send(parts.map((part) => this.#transfer(this.#chain.now.usdcMint, part)));
  }

  /** One transaction that everybody sees, and that is gone some seconds later. */
  payOnFork(part: Part): void {
    this.#chain.sendToFork(this.#signed([this.#transfer(this.#chain.now.usdcMint, part)]));
  }

  /** A transfer of far more than there is: it lands, fails and moves nothing. */
  payAndFail(references: readonly string[]): SentTransaction {
    return this.#send([this.#transfer(this.#chain.now.usdcMint, { amountMicroUsdc: 2n ** 62n, references })]);
  }

  /** The right amount of a token of one's own making. */
  payWithOtherMint(part: Part): SentTransaction {
    const chain = this.#chain.now;
    const mint = deriveKey(this.address, "worthless mint").address;
    makeMint(chain, mint, this.address);
    const payer = createNoopSigner(this.address);
    const create = (owner: Address) =>
      getCreateAssociatedTokenIdempotentInstruction({ payer, ata: associatedTokenAddress(owner, mint), owner, mint });
    return this.#send([
      create(this.address),
      create(this.#treasury),
      getMintToCheckedInstruction({
        mint,
        token: associatedTokenAddress(this.address, mint),
        mintAuthority: payer,
        amount: part.amountMicroUsdc,
        decimals: DECIMALS,
      }),
      this.#transfer(mint, part),
    ]);
  }

  /** All that it has, to another wallet: what was signed before can't be paid any more. */
  moveAway(to: Address, microUsdc: bigint): SentTransaction {
    const mint = this.#chain.now.usdcMint;
    const transfer = getTransferCheckedInstruction({
      source: this.usdcAccount,
      mint,
      destination: associatedTokenAddress(to, mint),
      authority: createNoopSigner(this.address),
      amount: microUsdc,
      decimals: DECIMALS,
    });
    return this.#send([transfer]);
  }

  /** What an x402 client makes of requirements: a PaymentPayload in base64, whose fee somebody else pays. */
  x402Payload(requirements: Requirements): string {
    const { asset, payTo, amount, extra } = requirements;
    const mint = address(asset);
    const transfer = getTransferCheckedInstruction({
      source: this.usdcAccount,
      mint,
      destination: associatedTokenAddress(payTo, mint),
      authority: createNoopSigner(this.address),
      amount: BigInt(amount),
      decimals: DECIMALS,
    });
    const limits = [computeBudget(2, 20_000n, 4), computeBudget(3, 1n, 8)];
    const memo = getAddMemoInstruction({ memo: extra.memo });
    const transaction = this.#signedBy(address(extra.feePayer), [...limits, transfer, memo]);
    const payload = { transaction: getBase64EncodedWireTransaction(transaction) };
    return Buffer.from(JSON.stringify({ x402Version: 2, accepted: requirements, payload })).toString("base64");
  }

  /** The token account that payments go to; made once, by whoever runs the treasury. */
  createTreasuryAccount(): void {
    const mint = this.#chain.now.usdcMint;
    const payer = createNoopSigner(this.address);
    const owner = this.#treasury;
    const ata = associatedTokenAddress(owner, mint);
    this.#send([getCreateAssociatedTokenIdempotentInstruction({ payer, ata, owner, mint })]);
  }

  #transfer(mint: Address, { amountMicroUsdc, references }: Part): Instruction {
    const transfer = getTransferCheckedInstruction({
      source: associatedTokenAddress(this.address, mint),
      mint,
      destination: associatedTokenAddress(this.#treasury, mint),
      authority: createNoopSigner(this.address),
      amount: amountMicroUsdc,
      decimals: DECIMALS,
    });
    const marks = references.map((reference) => ({ address: address(reference), role: AccountRole.READONLY }));
    return { ...transfer, accounts: [...transfer.accounts, ...marks] };
  }

  #send(instructions: readonly Instruction[]): SentTransaction {
    const record = this.#chain.send(this.#signed(instructions));
    if (record === null) throw new Error("the wallet's transaction was dropped");
    return { signature: record.signature, landed: record.execution.err === null };
  }

  #signed(instructions: readonly Instruction[]): Uint8Array {
    const memo = getAddMemoInstruction({ memo: `${++this.#serial}` });
    return Uint8Array.from(getTransactionEncoder().encode(this.#signedBy(this.address, [memo, ...instructions])));
  }

  #signedBy(feePayer: Address, instructions: readonly Instruction[]): Transaction {
    const chain = this.#chain.now;
    const blockhash = chain.state.blockhash(chain.slot) as Blockhash;
    const message = pipe(
      createTransactionMessage({ version: 0 }),
      (empty) => setTransactionMessageFeePayer(feePayer, empty),
      (paid) => setTransactionMessageLifetimeUsingBlockhash({ blockhash, lastValidBlockHeight: 0n }, paid),
      (live) => appendTransactionMessageInstructions(instructions, live),
    );
    const compiled = compileTransaction(message);
    const signature = this.#key.sign(Uint8Array.from(compiled.messageBytes)) as SignatureBytes;
    return { ...compiled, signatures: { ...compiled.signatures, [this.address]: signature } };
  }
}

function makeMint(chain: DevelopmentChain, mint: Address, authority: Address): void {
  const { svm } = chain.state;
  if (svm.account(mint) !== null) return;
  const data = Uint8Array.from(
    getMintEncoder().encode({
      mintAuthority: authority,
      supply: 0n,
      decimals: DECIMALS,
      isInitialized: true,
      freezeAuthority: null,
    }),
  );
  svm.setAccount(mint, {
    lamports: svm.rentExemptLamports(data.length),
    data,
    owner: TOKEN_PROGRAM_ADDRESS,
    executable: false,
  });
}

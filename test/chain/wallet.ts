import {
  type Address,
  appendTransactionMessageInstructions,
  type Blockhash,
  compressTransactionMessageUsingAddressLookupTables,
  createSolanaRpcFromTransport,
  createTransactionMessage,
  generateKeyPairSigner,
  getBase64EncodedWireTransaction,
  getSignatureFromTransaction,
  type Instruction,
  type KeyPairSigner,
  pipe,
  type Rpc,
  type SolanaRpcApi,
  setTransactionMessageFeePayerSigner,
  setTransactionMessageLifetimeUsingBlockhash,
  signTransactionMessageWithSigners,
} from "@solana/kit";
import { findAssociatedTokenPda, TOKEN_PROGRAM_ADDRESS } from "@solana-program/token";
import { DevelopmentChain, type DevelopmentChainOptions } from "../../api/local/chain/development-chain.ts";
import { faultyTransport } from "../../api/local/chain/faulty-transport.ts";

export const oneSol = 1_000_000_000n;
export const oneUsdc = 1_000_000n;

export const rpcOf = (chain: DevelopmentChain): Rpc<SolanaRpcApi> =>
  createSolanaRpcFromTransport(faultyTransport(chain));

/** A chain whose slots the test advances by hand: confirmed after 1 slot, finalized after 4. */
export function newChain(options: DevelopmentChainOptions = {}): DevelopmentChain {
  return new DevelopmentChain({ slotsToFinalize: 4, genesisTimeMs: 1_700_000_000_000, ...options });
}

export function advance(chain: DevelopmentChain, slots: number): void {
  for (let passed = 0; passed < slots; passed++) chain.advanceSlot(1_700_000_000_000 + (chain.slot + 1) * 400);
}

export async function fundedWallet(chain: DevelopmentChain, microUsdc = 100n * oneUsdc): Promise<KeyPairSigner> {
  const wallet = await generateKeyPairSigner();
  chain.faucet({ address: wallet.address, lamports: 10n * oneSol, microUsdc });
  return wallet;
}

export async function usdcAccountOf(chain: DevelopmentChain, owner: Address): Promise<Address> {
  const [ata] = await findAssociatedTokenPda({ owner, mint: chain.usdcMint, tokenProgram: TOKEN_PROGRAM_ADDRESS });
  return ata;
}

export interface Lifetime {
  blockhash: Blockhash;
  lastValidBlockHeight: bigint;
}

export interface SigningOptions {
  lifetime?: Lifetime;
  lookupTables?: Record<Address, Address[]>;
}

/** Builds and signs a transaction as a wallet does, with a blockhash of the slot in progress. */
export async function signed(
  chain: DevelopmentChain,
  payer: KeyPairSigner,
  instructions: Instruction[],
  options: SigningOptions = {},
) {
  const lifetime =
    options.lifetime ?? (await rpcOf(chain).getLatestBlockhash({ commitment: "processed" }).send()).value;
  const message = pipe(
    createTransactionMessage({ version: 0 }),
    (empty) => setTransactionMessageFeePayerSigner(payer, empty),
    (paid) => setTransactionMessageLifetimeUsingBlockhash(lifetime, paid),
    (live) => appendTransactionMessageInstructions(instructions, live),
  );
  const compressed =
    options.lookupTables === undefined
      ? message
      : compressTransactionMessageUsingAddressLookupTables(message, options.lookupTables);
  const transaction = await signTransactionMessageWithSigners(compressed);
  return {
    message: compressed,
    transaction,
    wire: getBase64EncodedWireTransaction(transaction),
    signature: getSignatureFromTransaction(transaction),
  };
}

/** Signs and sends, tried out by the node at `processed` unless told otherwise. */
export async function send(
  chain: DevelopmentChain,
  payer: KeyPairSigner,
  instructions: Instruction[],
  options: SigningOptions & { skipPreflight?: boolean } = {},
) {
  const { wire } = await signed(chain, payer, instructions, options);
  const skipPreflight = options.skipPreflight ?? false;
  return await rpcOf(chain)
    .sendTransaction(wire, { encoding: "base64", preflightCommitment: "processed", skipPreflight })
    .send();
}

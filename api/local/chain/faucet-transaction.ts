import {
  type Address,
  appendTransactionMessageInstructions,
  type Blockhash,
  compileTransaction,
  createNoopSigner,
  createTransactionMessage,
  getTransactionEncoder,
  type Instruction,
  pipe,
  type SignatureBytes,
  setTransactionMessageFeePayer,
  setTransactionMessageLifetimeUsingBlockhash,
} from "@solana/kit";
import { getAddMemoInstruction } from "@solana-program/memo";
import { getTransferSolInstruction } from "@solana-program/system";
import { getCreateAssociatedTokenIdempotentInstruction, getMintToCheckedInstruction } from "@solana-program/token";
import { associatedTokenAddress, type ChainKey } from "./keys.ts";

export const usdcDecimals = 6;

export interface Gift {
  address: Address;
  lamports: bigint;
  microUsdc: bigint;
}

/**
 * The signed wire bytes of the transaction by which the faucet gives SOL and USDC, creating the token account when
 * there is none. `serial` makes two equal gifts in one slot two transactions.
 */
export function faucetTransaction(faucet: ChainKey, usdcMint: Address, gift: Gift, blockhash: string, serial: number) {
  const payer = createNoopSigner(faucet.address);
  const instructions: Instruction[] = [getAddMemoInstruction({ memo: `faucet ${serial}` })];
  if (gift.lamports > 0n) {
    instructions.push(getTransferSolInstruction({ source: payer, destination: gift.address, amount: gift.lamports }));
  }
  if (gift.microUsdc > 0n) {
    const ata = associatedTokenAddress(gift.address, usdcMint);
    instructions.push(
      getCreateAssociatedTokenIdempotentInstruction({ payer, ata, owner: gift.address, mint: usdcMint }),
      getMintToCheckedInstruction({
        mint: usdcMint,
        token: ata,
        mintAuthority: payer,
        amount: gift.microUsdc,
        decimals: usdcDecimals,
      }),
    );
  }
  const message = pipe(
    createTransactionMessage({ version: 0 }),
    (empty) => setTransactionMessageFeePayer(faucet.address, empty),
    (paid) =>
      setTransactionMessageLifetimeUsingBlockhash(
        { blockhash: blockhash as Blockhash, lastValidBlockHeight: 0n },
        paid,
      ),
    (live) => appendTransactionMessageInstructions(instructions, live),
  );
  const compiled = compileTransaction(message);
  const signature = faucet.sign(Uint8Array.from(compiled.messageBytes)) as SignatureBytes;
  const signed = { ...compiled, signatures: { ...compiled.signatures, [faucet.address]: signature } };
  return Uint8Array.from(getTransactionEncoder().encode(signed));
}

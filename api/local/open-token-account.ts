/** Creates a wallet's token account, which has to exist before anybody is asked to pay into it. */
import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import {
  address,
  appendTransactionMessageInstruction,
  createKeyPairSignerFromBytes,
  createTransactionMessage,
  getBase64EncodedWireTransaction,
  type KeyPairSigner,
  pipe,
  setTransactionMessageFeePayerSigner,
  setTransactionMessageLifetimeUsingBlockhash,
  signTransactionMessageWithSigners,
  blockhash as toBlockhash,
} from "@solana/kit";
import {
  findAssociatedTokenPda,
  getCreateAssociatedTokenIdempotentInstruction,
  TOKEN_PROGRAM_ADDRESS,
} from "@solana-program/token";
import type { Chain } from "../ports/chain.ts";

const DEADLINE_MS = 60_000;
const POLL_MS = 100;

export async function readKeypair(file: string): Promise<KeyPairSigner> {
  return createKeyPairSignerFromBytes(Uint8Array.from(JSON.parse(await readFile(file, "utf8"))));
}

/** Does nothing when it is there already. `payer` pays fee and rent. */
export async function openTokenAccount(chain: Chain, payer: KeyPairSigner, owner: string, mint: string): Promise<void> {
  const [ata] = await findAssociatedTokenPda({
    owner: address(owner),
    mint: address(mint),
    tokenProgram: TOKEN_PROGRAM_ADDRESS,
  });
  if ((await chain.tokenBalance(ata, "confirmed")) !== null) return;
  const { blockhash, lastValidBlockHeight } = await chain.latestBlockhash();
  const message = pipe(
    createTransactionMessage({ version: 0 }),
    (m) => setTransactionMessageFeePayerSigner(payer, m),
    (m) => setTransactionMessageLifetimeUsingBlockhash({ blockhash: toBlockhash(blockhash), lastValidBlockHeight }, m),
    (m) =>
      appendTransactionMessageInstruction(
        getCreateAssociatedTokenIdempotentInstruction({ payer, ata, owner: address(owner), mint: address(mint) }),
        m,
      ),
  );
  const signed = await signTransactionMessageWithSigners(message);
  await chain.sendTransaction(getBase64EncodedWireTransaction(signed));
  for (let waitedMs = 0; waitedMs < DEADLINE_MS; waitedMs += POLL_MS) {
    if ((await chain.tokenBalance(ata, "confirmed")) !== null) return;
    await delay(POLL_MS);
  }
  throw new Error(`the USDC account of ${owner} did not appear on chain within ${DEADLINE_MS / 1000} s`);
}

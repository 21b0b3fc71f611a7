/** The treasury's signer with its key in a file: for one machine. The file is what `solana-keygen` writes. */
import {
  address,
  appendTransactionMessageInstructions,
  type Blockhash,
  compileTransaction,
  createKeyPairSignerFromBytes,
  createTransactionMessage,
  getBase64EncodedWireTransaction,
  getSignatureFromTransaction,
  type KeyPairSigner,
  pipe,
  setTransactionMessageFeePayerSigner,
  setTransactionMessageLifetimeUsingBlockhash,
  signTransactionMessageWithSigners,
} from "@solana/kit";
import { getAddMemoInstruction } from "@solana-program/memo";
import { findAssociatedTokenPda, getTransferCheckedInstruction, TOKEN_PROGRAM_ADDRESS } from "@solana-program/token";
import { USDC_DECIMALS } from "@volley/schema/money";
import type { AnchorOrder, RefundOrder, SignedRefund, TreasurySigner } from "../ports/treasury-signer.ts";
import { checkRefundMessage } from "./check-refund-message.ts";
import { readKeyFile } from "./key-file.ts";
import { SignerError } from "./signer-error.ts";
import type { TreasuryLimits } from "./treasury-settings.ts";

export interface FileSignerOptions {
  readonly usdcMint: string;
  /** It signs nothing above, whatever the database says. */
  readonly limits: Pick<TreasuryLimits, "transactionMaxMicroUsdc">;
}

/** A day and its root, and nothing that anybody could have put there. */
const ANCHOR_MEMO = /^volley-receipts:[0-9]{4}-[0-9]{2}-[0-9]{2}:[0-9a-f]{64}$/;
const LAMPORTS_PER_SIGNATURE = 5_000n;

/** @throws {SignerError} when the file is missing, readable by others, or no key */
export async function treasurySignerFromFile(path: string, options: FileSignerOptions): Promise<TreasurySigner> {
  const signer = await createKeyPairSignerFromBytes(await readKeyFile(path));
  const { usdcMint } = options;
  const { transactionMaxMicroUsdc: maximum } = options.limits;
  return {
    address: signer.address,
    async signRefund(order) {
      if (order.amountMicroUsdc <= 0n || order.amountMicroUsdc > maximum) {
        throw new SignerError(
          `refund ${order.refundId} is over ${order.amountMicroUsdc} micro-USDC; this signer signs 1 to ${maximum}`,
        );
      }
      return sign(signer, usdcMint, order);
    },
    async signAnchor(order) {
      if (!ANCHOR_MEMO.test(order.memo)) throw new SignerError(`"${order.memo}" is no memo that this signer signs`);
      return signMemo(signer, order);
    },
  };
}

async function signMemo(signer: KeyPairSigner, order: AnchorOrder): Promise<SignedRefund> {
  const { lastValidBlockHeight } = order;
  const message = pipe(
    createTransactionMessage({ version: 0 }),
    (empty) => setTransactionMessageFeePayerSigner(signer, empty),
    (paid) =>
      setTransactionMessageLifetimeUsingBlockhash(
        { blockhash: order.blockhash as Blockhash, lastValidBlockHeight },
        paid,
      ),
    (live) => appendTransactionMessageInstructions([getAddMemoInstruction({ memo: order.memo })], live),
  );
  const transaction = await signTransactionMessageWithSigners(message);
  return {
    lamports: LAMPORTS_PER_SIGNATURE,
    signature: getSignatureFromTransaction(transaction),
    transactionBase64: getBase64EncodedWireTransaction(transaction),
  };
}

/** Only what it has read again itself. The memo makes two refunds of one amount to one wallet two transactions, and tells on chain what it was. */
async function sign(signer: KeyPairSigner, usdcMint: string, order: RefundOrder): Promise<SignedRefund> {
  const mint = address(usdcMint);
  const owner = address(order.to);
  const [source] = await findAssociatedTokenPda({ owner: signer.address, mint, tokenProgram: TOKEN_PROGRAM_ADDRESS });
  const [destination] = await findAssociatedTokenPda({ owner, mint, tokenProgram: TOKEN_PROGRAM_ADDRESS });
  const { lastValidBlockHeight } = order;
  const message = pipe(
    createTransactionMessage({ version: 0 }),
    (empty) => setTransactionMessageFeePayerSigner(signer, empty),
    (paid) =>
      setTransactionMessageLifetimeUsingBlockhash(
        { blockhash: order.blockhash as Blockhash, lastValidBlockHeight },
        paid,
      ),
    (live) =>
      appendTransactionMessageInstructions(
        [
          getAddMemoInstruction({ memo: order.refundId }),
          getTransferCheckedInstruction({
            source,
            mint,
            destination,
            authority: signer,
            amount: order.amountMicroUsdc,
            decimals: USDC_DECIMALS,
          }),
        ],
        live,
      ),
  );
  checkRefundMessage(new Uint8Array(compileTransaction(message).messageBytes), {
    signer: signer.address,
    source,
    mint,
    destination,
    amountMicroUsdc: order.amountMicroUsdc,
    memo: order.refundId,
  });
  const transaction = await signTransactionMessageWithSigners(message);
  return {
    lamports: LAMPORTS_PER_SIGNATURE,
    signature: getSignatureFromTransaction(transaction),
    transactionBase64: getBase64EncodedWireTransaction(transaction),
  };
}

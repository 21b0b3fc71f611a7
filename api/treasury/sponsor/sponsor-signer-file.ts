/** The sponsor's signer with its key in a file. */
import {
  createKeyPairSignerFromBytes,
  getBase64EncodedWireTransaction,
  getBase64Encoder,
  getSignatureFromTransaction,
  getTransactionDecoder,
  partiallySignTransaction,
} from "@solana/kit";
import { treasuryAccount } from "../../payments/inbound/treasury-account.ts";
import { checkPayment, checkUnsigned } from "../../payments/x402/check-transaction.ts";
import type { SponsorSigner } from "../../ports/sponsor-signer.ts";
import { readKeyFile } from "../key-file.ts";

/** @throws {SignerError} when the file is missing, readable by others, or no key */
export async function sponsorSignerFromFile(path: string, options: { usdcMint: string }): Promise<SponsorSigner> {
  const signer = await createKeyPairSignerFromBytes(await readKeyFile(path));
  return {
    address: signer.address,
    async sign(base64, { payTo, amountMicroUsdc, reference }) {
      const { tokenAccount, mint } = await treasuryAccount({ treasuryAddress: payTo, usdcMint: options.usdcMint });
      const feePayer = signer.address;
      const expected = { feePayer, mint, payTo, tokenAccount, amountMicroUsdc, memo: null, reference };
      const { feeLamports } =
        reference === null ? await checkPayment(base64, expected) : checkUnsigned(base64, expected);
      const transaction = getTransactionDecoder().decode(getBase64Encoder().encode(base64));
      const signed = await partiallySignTransaction([signer.keyPair], transaction);
      return {
        signature: getSignatureFromTransaction(signed),
        transactionBase64: getBase64EncodedWireTransaction(signed),
        lamports: feeLamports,
      };
    },
  };
}

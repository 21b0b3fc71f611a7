/**
 * A wallet: pays a Solana Pay link and prints the transaction's signature. It knows nothing of what it pays for.
 *
 *   node examples/graphql/pay.ts 'solana:…'
 */
import { keypairSignerFromFile, payTransferRequest } from "@volley/sdk/solana";
import { readLocal } from "../local.ts";

const url = process.argv[2];
if (url === undefined) throw new Error("Give it a Solana Pay link: pay.ts 'solana:…'");

const { rpcUrl, payerKeypairPath } = await readLocal();
console.log(await payTransferRequest({ url, rpcUrl, signer: await keypairSignerFromFile(payerKeypairPath) }));

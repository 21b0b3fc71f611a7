/** Looks on chain whether a transfer can succeed, before anything is signed. */
import { type Address, address, type createSolanaRpc, getBase64Encoder } from "@solana/kit";
import { SolanaPaymentError } from "./payment-error.ts";
import { associatedTokenAddress, TOKEN_PROGRAMS, type Transfer } from "./transfer-instructions.ts";
import { type TransferRequest, toBaseUnits } from "./transfer-request.ts";

export type SolanaRpc = ReturnType<typeof createSolanaRpc>;

/** Offsets in the token program's accounts: a mint's decimals, a token account's amount. */
const MINT_DECIMALS_OFFSET = 44;
const ACCOUNT_AMOUNT_OFFSET = 64;
const ACCOUNT_LENGTH_MIN = 165;

interface ChainAccount {
  readonly owner: Address;
  readonly data: readonly [string, string];
}

function viewOf(account: ChainAccount): DataView {
  const bytes = Uint8Array.from(getBase64Encoder().encode(account.data[0]));
  return new DataView(bytes.buffer);
}

function amountOf(account: ChainAccount | null | undefined): bigint | null {
  if (!account || !TOKEN_PROGRAMS.has(account.owner)) return null;
  const view = viewOf(account);
  return view.byteLength < ACCOUNT_LENGTH_MIN ? null : view.getBigUint64(ACCOUNT_AMOUNT_OFFSET, true);
}

/** @throws {SolanaPaymentError} `mint_unknown`, `funds_missing`, `recipient_unready` or `request_malformed` */
export async function prepareTransfer(
  rpc: SolanaRpc,
  request: TransferRequest,
  payer: Address,
  abortSignal: AbortSignal,
): Promise<Transfer> {
  const encoding = { encoding: "base64", commitment: "confirmed" } as const;
  const mint = request.splToken;
  const { value: mintAccount } = await rpc.getAccountInfo(mint, encoding).send({ abortSignal });
  if (mintAccount === null || !TOKEN_PROGRAMS.has(mintAccount.owner)) {
    throw new SolanaPaymentError(
      "mint_unknown",
      `${mint} is no token of this chain; does the RPC URL lead to another one?`,
    );
  }
  const decimals = viewOf(mintAccount).getUint8(MINT_DECIMALS_OFFSET);
  const amount = toBaseUnits(request.amount, decimals);
  const tokenProgram = address(mintAccount.owner);
  const [source, destination] = await Promise.all([
    associatedTokenAddress(payer, tokenProgram, mint),
    associatedTokenAddress(request.recipient, tokenProgram, mint),
  ]);
  const { value: accounts } = await rpc.getMultipleAccounts([source, destination], encoding).send({ abortSignal });
  const held = amountOf(accounts[0]);
  if (held === null || held < amount) {
    const has = held === null ? "none" : `${held} base units`;
    throw new SolanaPaymentError(
      "funds_missing",
      `${payer} has ${has} of the token ${mint}, but ${amount} are asked for.`,
    );
  }
  if (amountOf(accounts[1]) === null) {
    throw new SolanaPaymentError("recipient_unready", `${request.recipient} has no account for the token ${mint}.`);
  }
  const references = request.references;
  return { tokenProgram, mint, decimals, amount, source, destination, authority: payer, references };
}

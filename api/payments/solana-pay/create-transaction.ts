/** The Solana Pay transaction request (specification 1.1, "Transaction Request", POST): a wallet signs what it gets. */
import {
  AccountRole,
  type Address,
  address,
  appendTransactionMessageInstructions,
  type Blockhash,
  compileTransaction,
  createNoopSigner,
  createTransactionMessage,
  getBase64EncodedWireTransaction,
  type Instruction,
  isAddress,
  pipe,
  setTransactionMessageComputeUnitLimit,
  setTransactionMessageComputeUnitPrice,
  setTransactionMessageFeePayer,
  setTransactionMessageLifetimeUsingBlockhash,
} from "@solana/kit";
import { getAddMemoInstruction } from "@solana-program/memo";
import { findAssociatedTokenPda, getTransferCheckedInstruction, TOKEN_PROGRAM_ADDRESS } from "@solana-program/token";
import type { InputOf, Operations, OutputOf } from "@volley/schema";
import { VolleyError } from "@volley/schema/errors";
import { formatUsdc, USDC_DECIMALS } from "@volley/schema/money";
import type { Context } from "../../context.ts";
import { type Chain, ChainError } from "../../ports/chain.ts";
import type { PaymentRow } from "../to-payment-resource.ts";
import { findPayment } from "./find-payment.ts";
import { sponsorFor, withSponsor } from "./sponsored-fee.ts";

/** A transfer takes some 6,000 units, and the memo some 10,000. */
const COMPUTE_UNITS = 60_000;
const PRICE_MICRO_LAMPORTS = 1n;

type CreateTransaction = Operations["payments.transaction"];

/**
 * A transaction that pays exactly what is missing now, so that the payer can get neither amount nor reference wrong.
 * The payer's wallet signs it, pays its fee unless the sponsor does, and sends it.
 * @throws {VolleyError} `not_found`, `payment_closed`, `rail_unavailable`, `address_invalid`, `insufficient_balance`,
 * `unavailable`
 */
export async function createPaymentTransaction(
  ctx: Context,
  input: InputOf<CreateTransaction>,
): Promise<OutputOf<CreateTransaction>> {
  const payment = await findPayment(ctx, input.id);
  const due = requireDue(ctx, payment);
  const mint = address(due.mint);
  const payer = payerAddress(input.account, due.recipient);
  const [source] = await findAssociatedTokenPda({ owner: payer, mint, tokenProgram: TOKEN_PROGRAM_ADDRESS });
  const held = await ask((chain) => chain.tokenBalance(source, "confirmed"), ctx.chain);
  if (held === null || held < due.amountMicroUsdc) {
    throw refusal(
      "insufficient_balance",
      `The wallet holds ${formatUsdc(held ?? 0n)} USDC, and ${formatUsdc(due.amountMicroUsdc)} USDC are due.`,
      "Pay from another wallet, or move USDC into this one first.",
    );
  }
  const [destination] = await findAssociatedTokenPda({
    owner: address(due.recipient),
    mint,
    tokenProgram: TOKEN_PROGRAM_ADDRESS,
  });
  const transfer = getTransferCheckedInstruction({
    source,
    mint,
    destination,
    authority: createNoopSigner(payer),
    amount: due.amountMicroUsdc,
    decimals: USDC_DECIMALS,
  });
  const memo = getAddMemoInstruction({ memo: payment.id });
  const marked = withReference(transfer, address(due.reference));
  const feePayer = await ask((chain) => sponsorFor(ctx, chain, payer), ctx.chain);
  const lifetime = await ask((chain) => chain.latestBlockhash(), ctx.chain);
  const sponsored =
    feePayer === null
      ? null
      : await withSponsor(ctx, payment, {
          transactionBase64: compile(feePayer, lifetime, [marked, memo]),
          lastValidBlockHeight: lifetime.lastValidBlockHeight,
        });
  return {
    transaction: sponsored ?? compile(payer, lifetime, [memo, marked]),
    message: `${formatUsdc(due.amountMicroUsdc)} USDC to Volley for ${payment.id}`,
  };
}

function compile(
  feePayer: Address,
  lifetime: { readonly blockhash: string; readonly lastValidBlockHeight: bigint },
  instructions: readonly Instruction[],
): string {
  const blockhash = lifetime.blockhash as Blockhash;
  const message = pipe(
    createTransactionMessage({ version: 0 }),
    (empty) => setTransactionMessageFeePayer(feePayer, empty),
    (paid) => setTransactionMessageLifetimeUsingBlockhash({ ...lifetime, blockhash }, paid),
    (live) => setTransactionMessageComputeUnitLimit(COMPUTE_UNITS, live),
    (limited) => setTransactionMessageComputeUnitPrice(PRICE_MICRO_LAMPORTS, limited),
    (priced) => appendTransactionMessageInstructions(instructions, priced),
  );
  return getBase64EncodedWireTransaction(compileTransaction(message));
}

interface Due {
  readonly recipient: string;
  readonly mint: string;
  readonly reference: string;
  readonly amountMicroUsdc: bigint;
}

function requireDue(ctx: Context, payment: PaymentRow): Due {
  const { recipient, mint, reference, status, rail } = payment;
  if (rail !== "solana_pay" || recipient === null || mint === null || reference === null) {
    throw refusal("rail_unavailable", `This payment is made by ${rail}, not by a wallet.`, "See the payment's rail.");
  }
  const amountMicroUsdc = payment.amountMicroUsdc - payment.receivedMicroUsdc;
  if (status === "settled" || amountMicroUsdc <= 0n) {
    throw refusal("payment_closed", "This payment has been made.", "Nothing is left to pay.");
  }
  if (status === "expired" || payment.expiresAt <= ctx.clock.nowMs()) {
    throw refusal("payment_closed", "This payment has expired, so nothing should be sent any more.", "Reserve again.");
  }
  return { recipient, mint, reference, amountMicroUsdc };
}

/** Our own wallet can't pay us. */
function payerAddress(account: string, recipient: string): Address {
  if (account === recipient) throw refusal("address_invalid", "That is the wallet that gets paid.", "Use your own.");
  if (!isAddress(account)) throw refusal("address_invalid", "The account is no address.", "Send 32 bytes in base58.");
  return account;
}

/** Read-only and no signer, as the specification asks. */
function withReference(transfer: Instruction, reference: Address): Instruction {
  return {
    ...transfer,
    accounts: [...(transfer.accounts ?? []), { address: reference, role: AccountRole.READONLY }],
  };
}

/** Wallets show `message` of an error's body to the payer. */
function refusal(code: VolleyError["code"], detail: string, nextAction: string): VolleyError {
  return new VolleyError(code, detail, { nextAction, extensions: { message: detail } });
}

async function ask<Answer>(question: (chain: Chain) => Promise<Answer>, chain: Chain): Promise<Answer> {
  try {
    return await question(chain);
  } catch (cause) {
    if (!(cause instanceof ChainError)) throw cause;
    throw new VolleyError("unavailable", "The chain can't be asked now, so no transaction was made.", {
      cause,
      extensions: { message: "The chain can't be asked now. Try again in a moment." },
    });
  }
}

/**
 * What a transaction must look like for us to pay its fee: the exact scheme's static layout with the sponsor acceptance
 * policy (x402 `scheme_exact_svm.md`, sections 2.1, 2.2 and 3.1), and stricter where that costs honest clients nothing.
 * The API checks before it reserves; the treasury checks again before it signs. Our own Solana Pay transaction requests
 * have the same layout, with a reference, and are signed by us before the payer.
 */
import { createHash } from "node:crypto";
import {
  address,
  getBase58Decoder,
  getBase64Encoder,
  getCompiledTransactionMessageDecoder,
  getPublicKeyFromAddress,
  getTransactionDecoder,
  getTransactionEncoder,
  type SignatureBytes,
  type Transaction,
  verifySignature,
} from "@solana/kit";
import { MEMO_PROGRAM_ADDRESS } from "@solana-program/memo";
import { TOKEN_PROGRAM_ADDRESS } from "@solana-program/token";
import { USDC_DECIMALS } from "@volley/schema/money";

export interface ExpectedPayment {
  readonly feePayer: string;
  readonly mint: string;
  /** Wallet that is paid, and its token account. */
  readonly payTo: string;
  readonly tokenAccount: string;
  readonly amountMicroUsdc: bigint;
  /** Null where the reader can't know it: the treasury has no key of the API's. */
  readonly memo: string | null;
  /** Named by the transfer beside its own accounts (Solana Pay); null: nothing is. */
  readonly reference: string | null;
}

export interface CheckedTransaction {
  /** SHA-256 of the message's bytes, hex. Signing again gives another signature, but the same message. */
  readonly id: string;
  /** Whose USDC it moves. */
  readonly payer: string;
  /** The token account that they come from. */
  readonly source: string;
  readonly blockhash: string;
  /** What ties it to its request. */
  readonly memo: string;
  /** What it costs the sponsor at most. */
  readonly feeLamports: bigint;
}

export interface CheckedPayment extends CheckedTransaction {
  /** By which it is known on chain, whoever pays its fee. */
  readonly payerSignature: string;
}

/** Why it isn't taken, in the words of the reference implementation and in a sentence. */
export class TransactionRefusal extends Error {
  override readonly name = "TransactionRefusal";
  readonly reason: string;

  constructor(reason: string, detail: string) {
    super(detail);
    this.reason = `invalid_exact_svm_payload_${reason}`;
  }
}

const COMPUTE_BUDGET_PROGRAM = "ComputeBudget111111111111111111111111111111";
/** Assertions that wallets add to guard their users. */
const LIGHTHOUSE_PROGRAM = "L2TExMFKdjpN9kozasaurPirfHy9P8sbXoAN1qA3S95";
const WIRE_BYTES_MAX = 1_232;
const INSTRUCTIONS_MIN = 4;
const INSTRUCTIONS_MAX = 7;
const SET_COMPUTE_UNIT_LIMIT = 2;
const SET_COMPUTE_UNIT_PRICE = 3;
const TRANSFER_CHECKED = 12;
const COMPUTE_UNITS_MAX = 400_000n;
/** 5 lamports per unit. */
const PRICE_MICRO_LAMPORTS_MAX = 5_000_000n;
const MICRO_LAMPORTS = 1_000_000n;
const LAMPORTS_PER_SIGNATURE = 5_000n;
const SIGNATURES = 2n;
/** Many units at a high price are each allowed, and together they aren't. */
const PRIORITY_FEE_MAX_LAMPORTS = 50_000n;
/** Bytes: instruction, amount, decimals. */
const TRANSFER_BYTES = 10;

interface Instruction {
  readonly program: string;
  readonly accounts: readonly string[];
  readonly data: Uint8Array;
}

interface Message {
  readonly instructions: readonly Instruction[];
  readonly payer: string;
  readonly blockhash: string;
}

/**
 * A payment that its payer has signed.
 * @throws {TransactionRefusal}
 */
export async function checkPayment(base64: string, expected: ExpectedPayment): Promise<CheckedPayment> {
  const transaction = decode(base64);
  const checked = checkLayout(transaction, expected);
  const payerSignature = await checkPayersSignature(transaction, checked.payer, expected.feePayer);
  return { ...checked, payerSignature };
}

/**
 * A transaction that we have made, and that nobody has signed.
 * @throws {TransactionRefusal}
 */
export function checkUnsigned(base64: string, expected: ExpectedPayment): CheckedTransaction {
  const transaction = decode(base64);
  if (Object.values(transaction.signatures).some((signature) => signature !== null)) {
    throw new TransactionRefusal("signature_invalid", "The transaction has to be signed by nobody yet.");
  }
  return checkLayout(transaction, expected);
}

function checkLayout(transaction: Transaction, expected: ExpectedPayment): CheckedTransaction {
  const { instructions, payer, blockhash } = readMessage(transaction, expected);
  const [limit, price, transfer, ...rest] = instructions;
  if (limit === undefined || price === undefined || transfer === undefined) throw wrongCount();
  const feeLamports = SIGNATURES * LAMPORTS_PER_SIGNATURE + priorityFee(limit, price);
  const source = checkTransfer(transfer, payer, expected);
  const memo = checkRest(rest, payer, expected.memo);
  const id = createHash("sha256").update(Uint8Array.from(transaction.messageBytes)).digest("hex");
  return { id, payer, source, blockhash, memo, feeLamports };
}

function decode(base64: string): Transaction {
  try {
    const bytes = getBase64Encoder().encode(base64);
    if (bytes.length > WIRE_BYTES_MAX) throw new RangeError("it is longer than a packet");
    const transaction = getTransactionDecoder().decode(bytes);
    const again = getTransactionEncoder().encode(transaction);
    // One spelling only: nothing may hide behind the end.
    if (again.length !== bytes.length || again.some((byte, index) => byte !== bytes[index])) {
      throw new RangeError("it has more bytes than it needs");
    }
    return transaction;
  } catch {
    throw new TransactionRefusal("transaction_could_not_be_decoded", "The payment holds no Solana transaction.");
  }
}

function readMessage(transaction: Transaction, { feePayer, payTo }: ExpectedPayment): Message {
  const message = decodeMessage(transaction);
  const { staticAccounts, header } = message;
  const key = (index: number): string => {
    const found = staticAccounts[index];
    if (found === undefined) {
      throw new TransactionRefusal(
        "transaction_could_not_be_decoded",
        "An instruction names an account that isn't there.",
      );
    }
    return found;
  };
  if ("addressTableLookups" in message && (message.addressTableLookups?.length ?? 0) > 0) {
    throw new TransactionRefusal(
      "lookup_tables",
      "Accounts in lookup tables can't be seen; name them in the transaction.",
    );
  }
  if (key(0) !== feePayer) {
    throw new TransactionRefusal(
      "fee_payer_mismatch",
      `The fee payer has to be ${feePayer}, as \`extra.feePayer\` says.`,
    );
  }
  if (header.numSignerAccounts !== 2) {
    throw new TransactionRefusal(
      "excessive_signers",
      "The transaction has to be signed by the fee payer and the payer alone.",
    );
  }
  const payer = key(1);
  if (payer === payTo) throw new TransactionRefusal("transfer_to_self", "The wallet that is paid can't be the payer.");
  if (message.instructions.length < INSTRUCTIONS_MIN || message.instructions.length > INSTRUCTIONS_MAX)
    throw wrongCount();
  const instructions = message.instructions.map(({ programAddressIndex, accountIndices = [], data }) => ({
    program: key(programAddressIndex),
    accounts: accountIndices.map(key),
    data: Uint8Array.from(data ?? []),
  }));
  if (instructions.some(({ program, accounts }) => program === feePayer || accounts.includes(feePayer))) {
    throw new TransactionRefusal(
      "transaction_fee_payer_transferring_funds",
      "No instruction may name the fee payer; it pays the network's fee and nothing else.",
    );
  }
  return { instructions, payer, blockhash: message.lifetimeToken };
}

function decodeMessage(transaction: Transaction) {
  const message = (() => {
    try {
      return getCompiledTransactionMessageDecoder().decode(transaction.messageBytes);
    } catch {
      throw new TransactionRefusal("transaction_could_not_be_decoded", "The payment's message can't be read.");
    }
  })();
  if (message.version === 0) return message;
  throw new TransactionRefusal("transaction_version", "The transaction has to be of version 0.");
}

const wrongCount = () =>
  new TransactionRefusal(
    "transaction_instructions_length",
    "The instructions have to be: compute unit limit, compute unit price, TransferChecked, and the memo.",
  );

function priorityFee(limit: Instruction, price: Instruction): bigint {
  const units = computeBudget(limit, SET_COMPUTE_UNIT_LIMIT, 4);
  if (units === null) {
    throw new TransactionRefusal(
      "transaction_instructions_compute_limit_instruction",
      "The first instruction has to set the compute unit limit.",
    );
  }
  const microLamports = computeBudget(price, SET_COMPUTE_UNIT_PRICE, 8);
  if (microLamports === null) {
    throw new TransactionRefusal(
      "transaction_instructions_compute_price_instruction",
      "The second instruction has to set the compute unit price.",
    );
  }
  if (units > COMPUTE_UNITS_MAX) {
    throw new TransactionRefusal(
      "transaction_instructions_compute_limit_instruction_too_high",
      `The compute unit limit may be ${COMPUTE_UNITS_MAX} at most.`,
    );
  }
  const lamports = (units * microLamports + MICRO_LAMPORTS - 1n) / MICRO_LAMPORTS;
  if (microLamports > PRICE_MICRO_LAMPORTS_MAX || lamports > PRIORITY_FEE_MAX_LAMPORTS) {
    throw new TransactionRefusal(
      "transaction_instructions_compute_price_instruction_too_high",
      `The priority fee may be ${PRIORITY_FEE_MAX_LAMPORTS} lamports at most; somebody else pays it.`,
    );
  }
  return lamports;
}

/** The little-endian number after the instruction's own byte; null for any other instruction. */
function computeBudget({ program, accounts, data }: Instruction, kind: number, bytes: 4 | 8): bigint | null {
  if (program !== COMPUTE_BUDGET_PROGRAM || accounts.length > 0) return null;
  if (data.length !== 1 + bytes || data[0] !== kind) return null;
  const view = new DataView(data.buffer, data.byteOffset);
  return bytes === 4 ? BigInt(view.getUint32(1, true)) : view.getBigUint64(1, true);
}

/** @returns the account that the money comes from */
function checkTransfer({ program, accounts, data }: Instruction, payer: string, expected: ExpectedPayment): string {
  const [source, mint, destination, authority, ...marks] = accounts;
  const isTransfer =
    program === TOKEN_PROGRAM_ADDRESS && data.length === TRANSFER_BYTES && data[0] === TRANSFER_CHECKED;
  if (!isTransfer || source === undefined || marks.join() !== (expected.reference ?? "")) {
    throw new TransactionRefusal(
      "no_transfer_instruction",
      "The third instruction has to be TransferChecked of the Token program, with its four accounts.",
    );
  }
  if (authority !== payer) {
    throw new TransactionRefusal("transfer_authority", "The transfer's authority has to be the payer who has signed.");
  }
  if (mint !== expected.mint) {
    throw new TransactionRefusal("mint_mismatch", `The transfer has to be of the mint ${expected.mint}.`);
  }
  if (destination !== expected.tokenAccount || source === destination) {
    throw new TransactionRefusal(
      "recipient_mismatch",
      `The transfer has to go to the associated token account of ${expected.payTo}.`,
    );
  }
  const amount = new DataView(data.buffer, data.byteOffset).getBigUint64(1, true);
  if (amount !== expected.amountMicroUsdc || data[9] !== USDC_DECIMALS) {
    throw new TransactionRefusal("amount_mismatch", `The transfer has to be of exactly ${expected.amountMicroUsdc}.`);
  }
  return source;
}

/** One memo, and what wallets add to guard their users. */
function checkRest(rest: readonly Instruction[], payer: string, memo: string | null): string {
  const memos = rest.filter(({ program }) => program === MEMO_PROGRAM_ADDRESS);
  if (memos.length + rest.filter(({ program }) => program === LIGHTHOUSE_PROGRAM).length !== rest.length) {
    throw new TransactionRefusal("unknown_optional_instruction", "After the transfer only the memo may follow.");
  }
  const [only] = memos;
  if (memos.length !== 1 || only === undefined) {
    throw new TransactionRefusal("memo_count", "The transaction has to have one memo.");
  }
  if (only.accounts.some((account) => account !== payer)) {
    throw new TransactionRefusal("memo_accounts", "The memo may be signed by the payer alone.");
  }
  const text = new TextDecoder().decode(only.data);
  if (memo !== null && text !== memo) {
    throw new TransactionRefusal(
      "memo_mismatch",
      "The memo is another one than `extra.memo`: this payment was made for another request.",
    );
  }
  return text;
}

async function checkPayersSignature(
  { signatures, messageBytes }: Transaction,
  payer: string,
  feePayer: string,
): Promise<string> {
  const signature: SignatureBytes | null | undefined = signatures[address(payer)];
  const isSigned =
    signature != null &&
    (await verifySignature(await getPublicKeyFromAddress(address(payer)), signature, messageBytes));
  if (signature == null || !isSigned || signatures[address(feePayer)] != null) {
    throw new TransactionRefusal(
      "signature_invalid",
      "The transaction has to carry the payer's signature, and none of the fee payer's.",
    );
  }
  return getBase58Decoder().decode(signature);
}

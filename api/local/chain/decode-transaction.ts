import {
  getCompiledTransactionMessageDecoder,
  getCompiledTransactionMessageEncoder,
  getTransactionDecoder,
  getTransactionEncoder,
  type ReadonlyUint8Array,
  type TransactionMessageBytes,
} from "@solana/kit";
import { encodeBase58 } from "./bytes.ts";
import { invalidParams } from "./rpc-error.ts";

export interface AddressTableLookup {
  accountKey: string;
  writableIndexes: number[];
  readonlyIndexes: number[];
}

export interface TopLevelInstruction {
  programIdIndex: number;
  accounts: number[];
  data: Uint8Array;
}

export interface DecodedMessage {
  version: "legacy" | 0;
  header: { numRequiredSignatures: number; numReadonlySignedAccounts: number; numReadonlyUnsignedAccounts: number };
  staticKeys: string[];
  blockhash: string;
  instructions: TopLevelInstruction[];
  lookups: AddressTableLookup[];
}

export interface DecodedTransaction extends DecodedMessage {
  wire: Uint8Array;
  /** Base58; the first is the transaction's id. A missing signature is 64 zero bytes. */
  signatures: string[];
  signature: string;
}

/** The largest packet of Solana's network. */
export const maxWireBytes = 1_232;

const emptySignature = new Uint8Array(64);
const copy = (bytes: ReadonlyUint8Array | undefined): Uint8Array => Uint8Array.from(bytes ?? []);

/** Decodes a compiled message. Throws RpcError -32602 when it is not one, or points outside of its own accounts. */
export function decodeMessage(messageBytes: ReadonlyUint8Array): DecodedMessage {
  const message = orInvalid(() => getCompiledTransactionMessageDecoder().decode(messageBytes));
  assertSameBytes(
    orInvalid(() => getCompiledTransactionMessageEncoder().encode(message)),
    messageBytes,
  );
  // The virtual machine's binding cannot be trusted with this format yet: some of its errors end the process.
  if (message.version === 1) throw invalidParams("the development chain takes legacy and version 0 transactions only");
  const instructions = message.instructions.map((instruction) => ({
    programIdIndex: instruction.programAddressIndex,
    accounts: [...(instruction.accountIndices ?? [])],
    data: copy(instruction.data),
  }));
  const lookups =
    message.version === 0
      ? (message.addressTableLookups ?? []).map((lookup) => ({
          accountKey: lookup.lookupTableAddress,
          writableIndexes: [...lookup.writableIndexes],
          readonlyIndexes: [...lookup.readonlyIndexes],
        }))
      : [];
  const decoded: DecodedMessage = {
    version: message.version,
    header: {
      numRequiredSignatures: message.header.numSignerAccounts,
      numReadonlySignedAccounts: message.header.numReadonlySignerAccounts,
      numReadonlyUnsignedAccounts: message.header.numReadonlyNonSignerAccounts,
    },
    staticKeys: [...message.staticAccounts],
    blockhash: message.lifetimeToken,
    instructions,
    lookups,
  };
  assertIndexesInRange(decoded);
  return decoded;
}

/**
 * Decodes a transaction as a wallet sends it. Throws RpcError -32602 for anything but the one canonical encoding of
 * a transaction, since the virtual machine ends the process on bytes that it cannot read.
 */
export function decodeTransaction(wire: Uint8Array): DecodedTransaction {
  if (wire.length > maxWireBytes) {
    throw invalidParams(`transaction too large: ${wire.length} bytes (max: ${maxWireBytes} bytes)`);
  }
  const transaction = orInvalid(() => getTransactionDecoder().decode(wire));
  const message = decodeMessage(transaction.messageBytes);
  assertSameBytes(
    orInvalid(() => getTransactionEncoder().encode(transaction)),
    wire,
  );
  const signatures = Object.values(transaction.signatures).map((bytes) => encodeBase58(copy(bytes ?? emptySignature)));
  const signature = signatures[0];
  if (signature === undefined || signatures.length !== message.header.numRequiredSignatures) {
    throw invalidParams("invalid transaction: it carries another number of signatures than its message asks for");
  }
  return { ...message, wire, signatures, signature };
}

/** The same transaction with another blockhash; its signatures no longer fit. */
export function replaceBlockhash(transaction: DecodedTransaction, blockhash: string): DecodedTransaction {
  const decoded = getTransactionDecoder().decode(transaction.wire);
  const message = getCompiledTransactionMessageDecoder().decode(decoded.messageBytes);
  const messageBytes = getCompiledTransactionMessageEncoder().encode({ ...message, lifetimeToken: blockhash });
  const wire = getTransactionEncoder().encode({ ...decoded, messageBytes: messageBytes as TransactionMessageBytes });
  return decodeTransaction(Uint8Array.from(wire));
}

/** Kit's decoders forgive what Solana's do not, such as a missing end. */
function assertSameBytes(canonical: ReadonlyUint8Array, given: ReadonlyUint8Array): void {
  if (canonical.length === given.length && canonical.every((byte, index) => byte === given[index])) return;
  throw invalidParams("failed to deserialize the transaction: not its canonical encoding, cut off, or bytes left over");
}

function assertIndexesInRange(message: DecodedMessage): void {
  const { header, staticKeys, lookups } = message;
  const loaded = lookups.reduce((sum, each) => sum + each.writableIndexes.length + each.readonlyIndexes.length, 0);
  const keyCount = staticKeys.length + loaded;
  const headerFits =
    header.numRequiredSignatures > header.numReadonlySignedAccounts &&
    header.numRequiredSignatures + header.numReadonlyUnsignedAccounts <= staticKeys.length;
  const instructionsFit = message.instructions.every(
    ({ programIdIndex, accounts }) =>
      programIdIndex > 0 && programIdIndex < staticKeys.length && accounts.every((index) => index < keyCount),
  );
  const lookupsFit = lookups.every((each) => each.writableIndexes.length + each.readonlyIndexes.length > 0);
  if (!headerFits || !instructionsFit || !lookupsFit || keyCount > 256) {
    throw invalidParams("invalid transaction: Transaction failed to sanitize accounts offsets correctly");
  }
}

function orInvalid<T>(decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw invalidParams(`failed to deserialize the transaction: ${reason}`);
  }
}

import {
  getCompiledTransactionMessageDecoder,
  getTransactionDecoder,
  getTransactionEncoder,
  type ReadonlyUint8Array,
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
  version: "legacy" | 0 | 1;
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

/** The largest packet for legacy and version 0 transactions, and for version 1 (SIMD-0296). */
const maxBytesByVersion = { legacy: 1232, 0: 1232, 1: 4096 } as const;
export const maxWireBytes = maxBytesByVersion[1];

const emptySignature = new Uint8Array(64);
const copy = (bytes: ReadonlyUint8Array | undefined): Uint8Array => Uint8Array.from(bytes ?? []);

/** Decodes a compiled message. Throws RpcError -32602 when it is not one, or points outside of its own accounts. */
export function decodeMessage(messageBytes: ReadonlyUint8Array): DecodedMessage {
  const message = orInvalid(() => getCompiledTransactionMessageDecoder().decode(messageBytes));
  const instructions: TopLevelInstruction[] =
    message.version === 1
      ? message.instructionHeaders.map((header, index) => ({
          programIdIndex: header.programAccountIndex,
          accounts: [...(message.instructionPayloads[index]?.instructionAccountIndices ?? [])],
          data: copy(message.instructionPayloads[index]?.instructionData),
        }))
      : message.instructions.map((instruction) => ({
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
  if (wire.length > maxWireBytes) throw tooLarge(wire.length, maxWireBytes);
  const transaction = orInvalid(() => getTransactionDecoder().decode(wire));
  const message = decodeMessage(transaction.messageBytes);
  if (wire.length > maxBytesByVersion[message.version]) throw tooLarge(wire.length, maxBytesByVersion[message.version]);
  const canonical = orInvalid(() => getTransactionEncoder().encode(transaction));
  if (canonical.length !== wire.length || canonical.some((byte, index) => byte !== wire[index])) {
    throw invalidParams("failed to deserialize the transaction: not its canonical encoding, or bytes left over");
  }
  const signatures = Object.values(transaction.signatures).map((bytes) => encodeBase58(copy(bytes ?? emptySignature)));
  const signature = signatures[0];
  if (signature === undefined || signatures.length !== message.header.numRequiredSignatures) {
    throw invalidParams("invalid transaction: it carries another number of signatures than its message asks for");
  }
  return { ...message, wire, signatures, signature };
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

const tooLarge = (length: number, limit: number) =>
  invalidParams(`transaction too large: ${length} bytes (max: ${limit} bytes)`);

import { SYSTEM_PROGRAM_ADDRESS } from "@solana-program/system";
import type { DecodedMessage } from "./decode-transaction.ts";

const lamportsPerSignature = 5_000n;
const microLamportsPerLamport = 1_000_000n;
const maxComputeUnits = 1_400_000n;
const computeUnitsOfProgram = 200_000n;
/** SIMD-0170: what an instruction of a built-in program is counted with. */
const computeUnitsOfBuiltin = 3_000n;

const computeBudgetProgram = "ComputeBudget111111111111111111111111111111";
const precompiles = [
  "Ed25519SigVerify111111111111111111111111111",
  "KeccakSecp256k11111111111111111111111111111",
  "Secp256r1SigVerify1111111111111111111111111",
];
const builtins = [
  SYSTEM_PROGRAM_ADDRESS,
  computeBudgetProgram,
  "Vote111111111111111111111111111111111111111",
  "BPFLoaderUpgradeab1e11111111111111111111111",
  "BPFLoader1111111111111111111111111111111111",
  "BPFLoader2111111111111111111111111111111111",
  "LoaderV411111111111111111111111111111111111",
];

/** The fee of a message in lamports: per signature, and the compute unit price times the limit. */
export function feeOfMessage(message: DecodedMessage): bigint {
  let signatures = BigInt(message.header.numRequiredSignatures);
  let price = 0n;
  let requested: bigint | null = null;
  let usual = 0n;
  for (const { programIdIndex, data } of message.instructions) {
    const program = message.staticKeys[programIdIndex] ?? "";
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    if (program === computeBudgetProgram && data[0] === 2 && data.length >= 5)
      requested = BigInt(view.getUint32(1, true));
    if (program === computeBudgetProgram && data[0] === 3 && data.length >= 9) price = view.getBigUint64(1, true);
    if (precompiles.includes(program)) signatures += BigInt(data[0] ?? 0);
    else usual += builtins.includes(program) ? computeUnitsOfBuiltin : computeUnitsOfProgram;
  }
  const wanted = requested ?? usual;
  const limit = wanted < maxComputeUnits ? wanted : maxComputeUnits;
  const priority = (price * limit + microLamportsPerLamport - 1n) / microLamportsPerLamport;
  return signatures * lamportsPerSignature + priority;
}

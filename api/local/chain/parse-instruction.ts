import { SYSTEM_PROGRAM_ADDRESS } from "@solana-program/system";
import { ASSOCIATED_TOKEN_PROGRAM_ADDRESS, TOKEN_PROGRAM_ADDRESS } from "@solana-program/token";
import { TOKEN_2022_PROGRAM_ADDRESS } from "@solana-program/token-2022";
import { encodeBase58 } from "./bytes.ts";
import { memoPrograms, memoText } from "./memo.ts";
import { type ParsedInstruction, parseTokenInstruction } from "./parse-token-instruction.ts";
import type { CompiledInstruction } from "./svm.ts";

/** An instruction in the jsonParsed form: explained where its program is known, otherwise accounts and data. */
export function parseInstruction(instruction: CompiledInstruction, keys: readonly string[]): unknown {
  const programId = keys[instruction.programIdIndex] ?? "";
  const accounts = instruction.accounts.map((index) => keys[index] ?? "");
  const { data, stackHeight } = instruction;
  const explained = explain(programId, data, accounts);
  return explained === null
    ? { accounts, data: encodeBase58(data), programId, stackHeight }
    : { ...explained, programId, stackHeight };
}

function explain(
  programId: string,
  data: Uint8Array,
  accounts: readonly string[],
): { program: string; parsed: ParsedInstruction | string } | null {
  const known = (program: string, parsed: ParsedInstruction | string | null) =>
    parsed === null ? null : { program, parsed };
  if (programId === TOKEN_PROGRAM_ADDRESS || programId === TOKEN_2022_PROGRAM_ADDRESS) {
    return known("spl-token", parseTokenInstruction(data, accounts));
  }
  if (programId === SYSTEM_PROGRAM_ADDRESS) return known("system", parseSystemInstruction(data, accounts));
  if (programId === ASSOCIATED_TOKEN_PROGRAM_ADDRESS) {
    return known("spl-associated-token-account", parseAssociatedTokenInstruction(data, accounts));
  }
  return memoPrograms.includes(programId) ? known("spl-memo", memoText(data)) : null;
}

function parseAssociatedTokenInstruction(data: Uint8Array, accounts: readonly string[]): ParsedInstruction | null {
  const type = ["create", "createIdempotent"][data[0] ?? 0];
  if (type === undefined || accounts.length < 6) return null;
  const [source, account, wallet, mint, systemProgram, tokenProgram] = accounts;
  return { type, info: { source, account, wallet, mint, systemProgram, tokenProgram } };
}

function parseSystemInstruction(data: Uint8Array, accounts: readonly string[]): ParsedInstruction | null {
  if (data.length < 4) return null;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const kind = view.getUint32(0, true);
  const [first, second, third] = accounts;
  if (kind === 0 && data.length === 52 && second !== undefined) {
    const lamports = view.getBigUint64(4, true);
    const space = view.getBigUint64(12, true);
    const owner = encodeBase58(data.subarray(20, 52));
    return { type: "createAccount", info: { source: first, newAccount: second, lamports, space, owner } };
  }
  if (kind === 1 && data.length === 36 && first !== undefined) {
    return { type: "assign", info: { account: first, owner: encodeBase58(data.subarray(4, 36)) } };
  }
  if (kind === 2 && data.length === 12 && second !== undefined) {
    const lamports = view.getBigUint64(4, true);
    return { type: "transfer", info: { source: first, destination: second, lamports } };
  }
  if (kind === 4 && third !== undefined) {
    return {
      type: "advanceNonce",
      info: { nonceAccount: first, recentBlockhashesSysvar: second, nonceAuthority: third },
    };
  }
  if (kind === 8 && data.length === 12 && first !== undefined) {
    return { type: "allocate", info: { account: first, space: view.getBigUint64(4, true) } };
  }
  return null;
}

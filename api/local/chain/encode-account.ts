import { isSome, type Option } from "@solana/kit";
import { AccountState } from "@solana-program/token";
import { TOKEN_2022_PROGRAM_ADDRESS } from "@solana-program/token-2022";
import { z } from "zod";
import { encodeBase58, encodeBase64 } from "./bytes.ts";
import { readNonce } from "./durable-nonce.ts";
import { readLookupTable } from "./lookup-table.ts";
import { invalidParams } from "./rpc-error.ts";
import { wholeParam } from "./rpc-method.ts";
import type { ChainAccount } from "./svm.ts";
import { readMint, readToken, uiTokenAmount } from "./token-state.ts";

export const accountEncodingFields = {
  encoding: z.enum(["base58", "base64", "jsonParsed"]).optional(),
  dataSlice: z.object({ offset: wholeParam, length: wholeParam }).nullish(),
};

interface AccountEncoding {
  encoding?: "base58" | "base64" | "jsonParsed" | undefined;
  dataSlice?: { offset: number; length: number } | null | undefined;
}

/** The RPC prints large base58 data only up to here, since encoding it takes quadratic time. */
const maxBase58Bytes = 128;
const rentEpochOfExempt = 18_446_744_073_709_551_615n;

/** An account in the form of getAccountInfo. Parsed are tokens, mints, lookup tables and nonces; others in base64. */
export function encodeAccount(
  account: ChainAccount | null,
  config: AccountEncoding | null | undefined,
  read: (address: string) => ChainAccount | null,
): unknown {
  if (account === null) return null;
  return {
    data: encodeData(account, config, read),
    executable: account.executable,
    lamports: account.lamports,
    owner: account.owner,
    rentEpoch: rentEpochOfExempt,
    space: account.data.length,
  };
}

function encodeData(
  account: ChainAccount,
  config: AccountEncoding | null | undefined,
  read: (address: string) => ChainAccount | null,
): unknown {
  const encoding = config?.encoding;
  if (encoding === "jsonParsed") {
    const parsed = parseAccount(account, read);
    if (parsed !== null) return { ...parsed, space: account.data.length };
  }
  const slice = config?.dataSlice;
  const data = slice ? account.data.subarray(slice.offset, slice.offset + slice.length) : account.data;
  if (encoding === "base64" || encoding === "jsonParsed") return [encodeBase64(data), "base64"];
  if (data.length > maxBase58Bytes) {
    throw invalidParams("Encoded binary (base 58) data should be less than 128 bytes, please use Base64 encoding.");
  }
  return encoding === undefined ? encodeBase58(data) : [encodeBase58(data), "base58"];
}

function parseAccount(account: ChainAccount, read: (address: string) => ChainAccount | null) {
  const program = account.owner === TOKEN_2022_PROGRAM_ADDRESS ? "spl-token-2022" : "spl-token";
  const token = parseToken(account, read);
  if (token !== null) return { program, parsed: { type: "account", info: token } };
  const mint = readMint(account);
  if (mint !== null) {
    const info = {
      decimals: mint.decimals,
      freezeAuthority: orNull(mint.freezeAuthority),
      isInitialized: mint.isInitialized,
      mintAuthority: orNull(mint.mintAuthority),
      supply: mint.supply.toString(),
    };
    return { program, parsed: { type: "mint", info } };
  }
  const table = readLookupTable(account);
  if (table !== null) {
    const info = {
      addresses: table.addresses,
      ...(table.authority === null ? {} : { authority: table.authority }),
      deactivationSlot: table.deactivationSlot.toString(),
      lastExtendedSlot: table.lastExtendedSlot.toString(),
      lastExtendedSlotStartIndex: table.lastExtendedSlotStartIndex,
    };
    return { program: "address-lookup-table", parsed: { type: "lookupTable", info } };
  }
  const nonce = readNonce(account);
  if (nonce === null) return null;
  const { authority, blockhash, lamportsPerSignature } = nonce;
  const info = { authority, blockhash, feeCalculator: { lamportsPerSignature: lamportsPerSignature.toString() } };
  return { program: "nonce", parsed: { type: "initialized", info } };
}

function parseToken(account: ChainAccount, read: (address: string) => ChainAccount | null) {
  const token = readToken(account);
  const mint = token === null ? null : readMint(read(token.mint));
  if (token === null || mint === null) return null;
  const delegate = orNull(token.delegate);
  const closeAuthority = orNull(token.closeAuthority);
  const rentExemptReserve = orNull(token.isNative);
  return {
    isNative: rentExemptReserve !== null,
    mint: token.mint,
    owner: token.owner,
    state: token.state === AccountState.Frozen ? "frozen" : "initialized",
    tokenAmount: uiTokenAmount(token.amount, mint.decimals),
    ...(closeAuthority === null ? {} : { closeAuthority }),
    ...(delegate === null ? {} : { delegate, delegatedAmount: uiTokenAmount(token.delegatedAmount, mint.decimals) }),
    ...(rentExemptReserve === null ? {} : { rentExemptReserve: uiTokenAmount(rentExemptReserve, mint.decimals) }),
  };
}

const orNull = <T>(value: Option<T>): T | null => (isSome(value) ? value.value : null);

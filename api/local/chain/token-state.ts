import { getMintDecoder, getTokenDecoder, type Mint, TOKEN_PROGRAM_ADDRESS, type Token } from "@solana-program/token";
import { TOKEN_2022_PROGRAM_ADDRESS } from "@solana-program/token-2022";
import type { ChainAccount } from "./svm.ts";

const mintBytes = 82;
const tokenBytes = 165;
// Token-2022 puts the kind of an extended account behind the longest base layout.
const kindOffset = 165;
const mintKind = 1;
const tokenKind = 2;

export const tokenPrograms: readonly string[] = [TOKEN_PROGRAM_ADDRESS, TOKEN_2022_PROGRAM_ADDRESS];

export interface UiTokenAmount {
  amount: string;
  decimals: number;
  uiAmount: number;
  uiAmountString: string;
}

export interface TokenBalance {
  accountIndex: number;
  mint: string;
  owner: string;
  programId: string;
  uiTokenAmount: UiTokenAmount;
}

/** The token account in `account`, or null when it is none, or not initialized. The base fields only. */
export function readToken(account: ChainAccount | null): Token | null {
  if (account === null || !tokenPrograms.includes(account.owner)) return null;
  const { data } = account;
  const isToken = data.length === tokenBytes || (data.length > tokenBytes && data[kindOffset] === tokenKind);
  if (!isToken || data[108] === 0) return null;
  return getTokenDecoder().decode(data.subarray(0, tokenBytes));
}

/** The mint in `account`, or null when it is none, or not initialized. The base fields only. */
export function readMint(account: ChainAccount | null): Mint | null {
  if (account === null || !tokenPrograms.includes(account.owner)) return null;
  const { data } = account;
  const isMint = data.length === mintBytes || (data.length > tokenBytes && data[kindOffset] === mintKind);
  if (!isMint || data[45] === 0) return null;
  return getMintDecoder().decode(data.subarray(0, mintBytes));
}

/** An amount as the RPC prints it: base units, and units of the token without superfluous zeros. */
export function uiTokenAmount(amount: bigint, decimals: number): UiTokenAmount {
  const digits = amount.toString().padStart(decimals + 1, "0");
  const whole = digits.slice(0, digits.length - decimals);
  const fraction = digits.slice(digits.length - decimals).replace(/0+$/, "");
  const text = decimals > 0 && fraction !== "" ? `${whole}.${fraction}` : whole;
  return { amount: amount.toString(), decimals, uiAmount: Number(text), uiAmountString: text };
}

/** The token balances among the accounts of one transaction, in the order of its account keys. */
export function tokenBalances(
  keys: readonly string[],
  accounts: readonly (ChainAccount | null)[],
  mintAccount: (mint: string) => ChainAccount | null,
): TokenBalance[] {
  const balances: TokenBalance[] = [];
  for (const [accountIndex, account] of accounts.entries()) {
    const token = readToken(account);
    if (token === null || account === null) continue;
    const mintIndex = keys.indexOf(token.mint);
    const mint = readMint(accounts[mintIndex] ?? mintAccount(token.mint));
    if (mint === null) continue;
    balances.push({
      accountIndex,
      mint: token.mint,
      owner: token.owner,
      programId: account.owner,
      uiTokenAmount: uiTokenAmount(token.amount, mint.decimals),
    });
  }
  return balances;
}

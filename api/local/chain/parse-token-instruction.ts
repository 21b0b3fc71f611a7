import { encodeBase58 } from "./bytes.ts";
import { uiTokenAmount } from "./token-state.ts";

/** An instruction as the RPC explains it. */
export interface ParsedInstruction {
  type: string;
  info: Record<string, unknown>;
}

type AmountStyle = "none" | "plain" | "checked";

interface Layout {
  type: string;
  /** What the first accounts of the instruction are called. */
  accounts: string[];
  amount?: AmountStyle;
  /** Name of the signing account behind `accounts`; with more accounts after it the RPC takes it for a multisig. */
  authority?: string;
}

// The instructions of SPL Token by their first byte, as both token programs share them.
const layouts: Record<number, Layout> = {
  1: { type: "initializeAccount", accounts: ["account", "mint", "owner", "rentSysvar"] },
  3: { type: "transfer", accounts: ["source", "destination"], amount: "plain", authority: "authority" },
  4: { type: "approve", accounts: ["source", "delegate"], amount: "plain", authority: "owner" },
  5: { type: "revoke", accounts: ["source"], authority: "owner" },
  7: { type: "mintTo", accounts: ["mint", "account"], amount: "plain", authority: "mintAuthority" },
  8: { type: "burn", accounts: ["account", "mint"], amount: "plain", authority: "authority" },
  9: { type: "closeAccount", accounts: ["account", "destination"], authority: "owner" },
  10: { type: "freezeAccount", accounts: ["account", "mint"], authority: "freezeAuthority" },
  11: { type: "thawAccount", accounts: ["account", "mint"], authority: "freezeAuthority" },
  12: {
    type: "transferChecked",
    accounts: ["source", "mint", "destination"],
    amount: "checked",
    authority: "authority",
  },
  13: { type: "approveChecked", accounts: ["source", "mint", "delegate"], amount: "checked", authority: "owner" },
  14: { type: "mintToChecked", accounts: ["mint", "account"], amount: "checked", authority: "mintAuthority" },
  15: { type: "burnChecked", accounts: ["account", "mint"], amount: "checked", authority: "authority" },
  17: { type: "syncNative", accounts: ["account"] },
  21: { type: "getAccountDataSize", accounts: ["mint"] },
  22: { type: "initializeImmutableOwner", accounts: ["account"] },
};

const authorityTypes = ["mintTokens", "freezeAccount", "accountOwner", "closeAccount"];

/** Explains an instruction of SPL Token or Token-2022; null for one that is unknown or malformed. */
export function parseTokenInstruction(data: Uint8Array, accounts: readonly string[]): ParsedInstruction | null {
  const [kind] = data;
  if (kind === undefined) return null;
  if (kind === 0 || kind === 20) return parseInitializeMint(kind, data, accounts);
  if (kind === 16 || kind === 18) return parseInitializeAccount(kind, data, accounts);
  if (kind === 6) return parseSetAuthority(data, accounts);
  const layout = layouts[kind];
  if (layout === undefined || accounts.length < layout.accounts.length + (layout.authority === undefined ? 0 : 1)) {
    return null;
  }
  const amount = readAmount(data, layout.amount ?? "none");
  if (amount === null) return null;
  const named = Object.fromEntries(layout.accounts.map((name, index) => [name, accounts[index]]));
  return {
    type: layout.type,
    info: { ...named, ...amount, ...signersOf(accounts, layout.accounts.length, layout.authority) },
  };
}

/**
 * The signing account and what comes after it. Accounts behind the authority count as the signers of a multisig, also
 * when they are a payment's references: Solana's RPC does the same, so readers have to cope with it.
 */
function signersOf(accounts: readonly string[], position: number, name: string | undefined): Record<string, unknown> {
  if (name === undefined) return {};
  if (accounts.length === position + 1) return { [name]: accounts[position] };
  const multisig = `multisig${name.charAt(0).toUpperCase()}${name.slice(1)}`;
  return { [multisig]: accounts[position], signers: accounts.slice(position + 1) };
}

function readAmount(data: Uint8Array, style: AmountStyle): Record<string, unknown> | null {
  if (style === "none") return {};
  const checked = style === "checked";
  if (data.length < (checked ? 10 : 9)) return null;
  const amount = new DataView(data.buffer, data.byteOffset, data.byteLength).getBigUint64(1, true);
  return checked ? { tokenAmount: uiTokenAmount(amount, data[9] ?? 0) } : { amount: amount.toString() };
}

function parseInitializeMint(kind: number, data: Uint8Array, accounts: readonly string[]): ParsedInstruction | null {
  const [mint, rentSysvar] = accounts;
  const hasRent = kind === 0;
  if (data.length < 35 || mint === undefined || (hasRent && rentSysvar === undefined)) return null;
  const freezeAuthority = data[34] === 1 && data.length >= 67 ? encodeBase58(data.subarray(35, 67)) : null;
  return {
    type: hasRent ? "initializeMint" : "initializeMint2",
    info: {
      mint,
      decimals: data[1],
      mintAuthority: encodeBase58(data.subarray(2, 34)),
      ...(hasRent ? { rentSysvar } : {}),
      ...(freezeAuthority === null ? {} : { freezeAuthority }),
    },
  };
}

function parseInitializeAccount(kind: number, data: Uint8Array, accounts: readonly string[]): ParsedInstruction | null {
  const [account, mint, rentSysvar] = accounts;
  const hasRent = kind === 16;
  if (data.length < 33 || mint === undefined || (hasRent && rentSysvar === undefined)) return null;
  return {
    type: hasRent ? "initializeAccount2" : "initializeAccount3",
    info: { account, mint, owner: encodeBase58(data.subarray(1, 33)), ...(hasRent ? { rentSysvar } : {}) },
  };
}

function parseSetAuthority(data: Uint8Array, accounts: readonly string[]): ParsedInstruction | null {
  const authorityType = authorityTypes[data[1] ?? -1];
  if (authorityType === undefined || accounts.length < 2) return null;
  const owned = authorityType === "mintTokens" || authorityType === "freezeAccount" ? "mint" : "account";
  return {
    type: "setAuthority",
    info: {
      [owned]: accounts[0],
      authorityType,
      newAuthority: data[2] === 1 && data.length >= 35 ? encodeBase58(data.subarray(3, 35)) : null,
      ...signersOf(accounts, 1, "authority"),
    },
  };
}

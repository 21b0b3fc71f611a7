import { encodeBase58 } from "./bytes.ts";
import type { AddressTableLookup } from "./decode-transaction.ts";
import type { ChainAccount } from "./svm.ts";

export const lookupTableProgram = "AddressLookupTab1e1111111111111111111111111";

const headBytes = 56;
const tableState = 1;

export interface LookupTable {
  addresses: string[];
  authority: string | null;
  deactivationSlot: bigint;
  lastExtendedSlot: bigint;
  lastExtendedSlotStartIndex: number;
}

export interface LoadedAddresses {
  writable: string[];
  readonly: string[];
}

/** The address lookup table in `account`, or null when it is none. */
export function readLookupTable(account: ChainAccount | null): LookupTable | null {
  if (account === null || account.owner !== lookupTableProgram || account.data.length < headBytes) return null;
  const { data } = account;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  if (view.getUint32(0, true) !== tableState) return null;
  const addresses: string[] = [];
  for (let offset = headBytes; offset + 32 <= data.length; offset += 32) {
    addresses.push(encodeBase58(data.subarray(offset, offset + 32)));
  }
  return {
    addresses,
    authority: data[21] === 1 ? encodeBase58(data.subarray(22, 54)) : null,
    deactivationSlot: view.getBigUint64(4, true),
    lastExtendedSlot: view.getBigUint64(12, true),
    lastExtendedSlotStartIndex: view.getUint8(20),
  };
}

/** The accounts that a transaction's lookups stand for, or null when a table or an entry is missing. */
export function loadAddresses(
  lookups: readonly AddressTableLookup[],
  account: (address: string) => ChainAccount | null,
): LoadedAddresses | null {
  const loaded: LoadedAddresses = { writable: [], readonly: [] };
  for (const lookup of lookups) {
    const table = readLookupTable(account(lookup.accountKey));
    const pick = (indexes: number[]) => indexes.map((index) => table?.addresses[index]);
    for (const [target, found] of [
      [loaded.writable, pick(lookup.writableIndexes)],
      [loaded.readonly, pick(lookup.readonlyIndexes)],
    ] as const) {
      for (const address of found) {
        if (address === undefined) return null;
        target.push(address);
      }
    }
  }
  return loaded;
}

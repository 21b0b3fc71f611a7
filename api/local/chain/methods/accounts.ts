import { TOKEN_PROGRAM_ADDRESS } from "@solana-program/token";
import { z } from "zod";
import { accountEncodingFields, encodeAccount } from "../encode-account.ts";
import { invalidParams } from "../rpc-error.ts";
import {
  addressParam,
  type ChainView,
  contextFields,
  contextParam,
  type RpcMethod,
  readSlot,
  rpcMethod,
  wholeParam,
  withContext,
} from "../rpc-method.ts";
import { readMint, readToken, tokenPrograms, uiTokenAmount } from "../token-state.ts";

const maxAccounts = 100;
/** Of Solana: no account is larger. */
const maxAccountBytes = 10_485_760;

const addressAndContext = z.tuple([addressParam, contextParam.optional()]);
const accountConfig = z.object({ ...contextFields, ...accountEncodingFields }).nullish();
const tokenFilter = z.union([z.object({ mint: addressParam }), z.object({ programId: addressParam })]);

const reader = (view: ChainView, slot: number) => (address: string) => view.state.account(address, slot);

/** Balances, accounts and token accounts, as of the slot of the asked commitment. */
export const accountMethods: Record<string, RpcMethod> = {
  getBalance: rpcMethod(addressAndContext, (view, [address, config]) => {
    const slot = readSlot(view, config);
    return withContext(slot, view.state.account(address, slot)?.lamports ?? 0n);
  }),

  getAccountInfo: rpcMethod(z.tuple([addressParam, accountConfig.optional()]), (view, [address, config]) => {
    const slot = readSlot(view, config);
    const read = reader(view, slot);
    return withContext(slot, encodeAccount(read(address), config, read));
  }),

  getMultipleAccounts: rpcMethod(
    z.tuple([z.array(addressParam).max(maxAccounts), accountConfig.optional()]),
    (view, [addresses, config]) => {
      const slot = readSlot(view, config);
      const read = reader(view, slot);
      // Answered in base64 unless asked otherwise, unlike getAccountInfo.
      const encoding = { ...config, encoding: config?.encoding ?? "base64" };
      return withContext(
        slot,
        addresses.map((address) => encodeAccount(read(address), encoding, read)),
      );
    },
  ),

  getTokenAccountBalance: rpcMethod(addressAndContext, (view, [address, config]) => {
    const slot = readSlot(view, config);
    const token = readToken(view.state.account(address, slot));
    if (token === null) throw invalidParams("Invalid param: could not find account");
    const mint = readMint(view.state.account(token.mint, slot));
    if (mint === null) throw invalidParams("Invalid param: could not find mint");
    return withContext(slot, uiTokenAmount(token.amount, mint.decimals));
  }),

  getTokenSupply: rpcMethod(addressAndContext, (view, [address, config]) => {
    const slot = readSlot(view, config);
    const mint = readMint(view.state.account(address, slot));
    if (mint === null) throw invalidParams("Invalid param: not a Token mint");
    return withContext(slot, uiTokenAmount(mint.supply, mint.decimals));
  }),

  getTokenAccountsByOwner: rpcMethod(
    z.tuple([addressParam, tokenFilter, accountConfig.optional()]),
    (view, [owner, filter, config]) => {
      const slot = readSlot(view, config);
      const read = reader(view, slot);
      const program = "programId" in filter ? filter.programId : (read(filter.mint)?.owner ?? TOKEN_PROGRAM_ADDRESS);
      if (!tokenPrograms.includes(program)) {
        throw invalidParams(`Invalid param: ${program} is not a token program, nor the owner of a token's mint`);
      }
      const value = [];
      for (const pubkey of view.state.tokenAccountsEverOf(owner)) {
        const account = read(pubkey);
        const token = readToken(account);
        if (account?.owner !== program || token?.owner !== owner) continue;
        if ("mint" in filter && token.mint !== filter.mint) continue;
        value.push({ pubkey, account: encodeAccount(account, config, read) });
      }
      return withContext(slot, value);
    },
  ),

  getMinimumBalanceForRentExemption: rpcMethod(
    z.tuple([wholeParam.pipe(z.number().max(maxAccountBytes)), contextParam.optional()]),
    (view, [dataLength]) => view.state.svm.rentExemptLamports(dataLength),
  ),
};

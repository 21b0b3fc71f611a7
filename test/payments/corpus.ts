/**
 * Transactions that reach a shop's USDC account, or seem to: each built as a wallet would build it and executed by
 * Solana's virtual machine, with the right answer. Lighthouse, smart wallets and the like are programs that the
 * machine doesn't have; Memo, Compute Budget and System instructions stand where wallets put theirs, and the
 * associated token program's RecoverNested for a transfer by another program.
 */
import {
  AccountRole,
  type Address,
  address,
  appendTransactionMessageInstructions,
  createTransactionMessage,
  generateKeyPairSigner,
  getAddressEncoder,
  getBase64EncodedWireTransaction,
  getProgramDerivedAddress,
  getSignatureFromTransaction,
  getU64Encoder,
  type Instruction,
  type KeyPairSigner,
  pipe,
  setTransactionMessageFeePayerSigner,
  setTransactionMessageLifetimeUsingBlockhash,
  signTransactionMessageWithSigners,
} from "@solana/kit";
import { getAddMemoInstruction } from "@solana-program/memo";
import { getCreateAccountInstruction, getTransferSolInstruction } from "@solana-program/system";
import {
  getApproveInstruction,
  getBurnInstruction,
  getCloseAccountInstruction,
  getCreateAssociatedTokenIdempotentInstruction,
  getCreateAssociatedTokenInstructionAsync,
  getInitializeAccount3Instruction,
  getInitializeMultisig2Instruction,
  getMintEncoder,
  getMintToInstruction,
  getRecoverNestedAssociatedTokenInstruction,
  getRevokeInstruction,
  getSyncNativeInstruction,
  getTransferCheckedInstruction,
  getTransferInstruction,
  TOKEN_PROGRAM_ADDRESS,
} from "@solana-program/token";
import type { DevelopmentChain } from "../../api/local/chain/development-chain.ts";
import { deriveKey } from "../../api/local/chain/keys.ts";
import { advance, fundedWallet, newChain, rpcOf, send, usdcAccountOf } from "../chain/wallet.ts";
import { withReferences } from "./world.ts";

/** What is due for each of the payments of a case. */
export const DUE = 5_000_000n;

const COMPUTE_BUDGET = address("ComputeBudget111111111111111111111111111111");
const LOOKUP_TABLES = address("AddressLookupTab1e1111111111111111111111111");
const SYSTEM = address("11111111111111111111111111111111");
const TOKEN_2022 = address("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb");
const ASSOCIATED = address("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL");
/** Where the token program keeps an account's state, and its value for a frozen one. */
const STATE_OFFSET = 108;
const FROZEN = 2;

export interface Outcome {
  /** By number of the payment, what counts for it. */
  readonly counts: readonly bigint[];
  readonly unallocated: bigint;
}

export interface CorpusCase {
  readonly group: string;
  readonly name: string;
  readonly expected: Outcome;
  /** @returns the signature of the transaction in question */
  readonly build: (shop: Shop) => Promise<string>;
}

/** A shop with two open payments, a and b, and a payer. */
export class Shop {
  readonly chain: DevelopmentChain;
  readonly owner: KeyPairSigner;
  readonly account: Address;
  readonly payer: KeyPairSigner;
  readonly source: Address;
  readonly a: Address;
  readonly b: Address;

  private constructor(chain: DevelopmentChain, keys: readonly KeyPairSigner[], accounts: readonly Address[]) {
    const [owner, payer, a, b] = keys;
    const [account, source] = accounts;
    if (!owner || !payer || !a || !b || !account || !source) throw new Error("a key is missing");
    this.chain = chain;
    this.owner = owner;
    this.payer = payer;
    this.a = a.address;
    this.b = b.address;
    this.account = account;
    this.source = source;
  }

  /** @param hasAccount whether the shop's token account exists beforehand, with 1 USDC in it */
  static async open(hasAccount = true): Promise<Shop> {
    const chain = newChain();
    const owner = await fundedWallet(chain, hasAccount ? 1_000_000n : 0n);
    const payer = await fundedWallet(chain, 100_000_000n);
    advance(chain, 2);
    const keys = [owner, payer, await generateKeyPairSigner(), await generateKeyPairSigner()];
    const accounts = [await usdcAccountOf(chain, owner.address), await usdcAccountOf(chain, payer.address)];
    return new Shop(chain, keys, accounts);
  }

  transfer(amount = DUE, references: readonly string[] = [this.a]): Instruction {
    const { source, account, payer, chain } = this;
    const mint = chain.usdcMint;
    const checked = { source, mint, destination: account, authority: payer, amount, decimals: 6 };
    return withReferences(getTransferCheckedInstruction(checked), references);
  }

  plain(amount = DUE, references: readonly string[] = [this.a]): Instruction {
    const { source, account, payer } = this;
    const transfer = getTransferInstruction({ source, destination: account, authority: payer, amount });
    return withReferences(transfer, references);
  }

  /** From the shop's own account to somebody. */
  outward(amount: bigint, destination: Address, references: readonly string[] = []): Instruction {
    const mint = this.chain.usdcMint;
    const checked = { source: this.account, mint, destination, authority: this.owner, amount, decimals: 6 };
    return withReferences(getTransferCheckedInstruction(checked), references);
  }

  nothing(references: readonly string[] = []): Instruction {
    const gift = getTransferSolInstruction({ source: this.payer, destination: this.payer.address, amount: 1n });
    return withReferences(gift, references);
  }

  send(...instructions: Instruction[]): Promise<string> {
    return send(this.chain, this.payer, instructions, { skipPreflight: true });
  }

  async sendLegacy(...instructions: Instruction[]): Promise<string> {
    const rpc = rpcOf(this.chain);
    const { value } = await rpc.getLatestBlockhash({ commitment: "processed" }).send();
    const message = pipe(
      createTransactionMessage({ version: "legacy" }),
      (empty) => setTransactionMessageFeePayerSigner(this.payer, empty),
      (paid) => setTransactionMessageLifetimeUsingBlockhash(value, paid),
      (live) => appendTransactionMessageInstructions(instructions, live),
    );
    const transaction = await signTransactionMessageWithSigners(message);
    const wire = getBase64EncodedWireTransaction(transaction);
    await rpc.sendTransaction(wire, { encoding: "base64", skipPreflight: true }).send();
    return getSignatureFromTransaction(transaction);
  }

  /** Sends with all of these keys in a lookup table. */
  async sendWithTable(keys: Address[], ...instructions: Instruction[]): Promise<string> {
    const { chain, payer } = this;
    const recentSlot = chain.slot - 1;
    const bytes = (...parts: ArrayLike<number>[]) => Uint8Array.from(parts.flatMap((part) => Array.from(part)));
    const u64 = (value: number) => getU64Encoder().encode(value);
    const [table, bump] = await getProgramDerivedAddress({
      programAddress: LOOKUP_TABLES,
      seeds: [getAddressEncoder().encode(payer.address), u64(recentSlot)],
    });
    const accounts = [
      { address: table, role: AccountRole.WRITABLE },
      { address: payer.address, role: AccountRole.READONLY_SIGNER },
      { address: payer.address, role: AccountRole.WRITABLE_SIGNER },
      { address: SYSTEM, role: AccountRole.READONLY },
    ];
    const encoded = keys.map((key) => getAddressEncoder().encode(key));
    await this.send(
      { programAddress: LOOKUP_TABLES, accounts, data: bytes([0, 0, 0, 0], u64(recentSlot), [bump]) },
      { programAddress: LOOKUP_TABLES, accounts, data: bytes([2, 0, 0, 0], u64(keys.length), ...encoded) },
    );
    advance(chain, 2);
    return await send(chain, payer, instructions, { lookupTables: { [table]: keys }, skipPreflight: true });
  }

  createAccount(): Promise<Instruction> {
    const { payer, owner, chain } = this;
    return getCreateAssociatedTokenInstructionAsync({ payer, owner: owner.address, mint: chain.usdcMint });
  }

  /** As the freeze authority of the mint would leave it. */
  freeze(account: Address): void {
    const { svm } = this.chain.state;
    const found = svm.account(account);
    if (found === null) throw new Error("no account to freeze");
    const data = Uint8Array.from(found.data);
    data[STATE_OFFSET] = FROZEN;
    svm.setAccount(account, { ...found, data });
  }

  /** A token of the payer's own making, whose mint looks like USDC's: as many decimals, any amount. */
  async otherToken(program: Address, extensions: Uint8Array = new Uint8Array()) {
    const { payer, owner } = this;
    const { svm } = this.chain.state;
    const mint = deriveKey(payer.address, `mint of ${program}`).address;
    const mintAuthority = payer.address;
    const base = getMintEncoder().encode({
      mintAuthority,
      supply: 0n,
      decimals: 6,
      isInitialized: true,
      freezeAuthority: null,
    });
    const data = Uint8Array.from([...base, ...extensions]);
    svm.setAccount(mint, { lamports: svm.rentExemptLamports(data.length), data, owner: program, executable: false });
    const ataOf = async (wallet: Address) => {
      const encode = getAddressEncoder().encode;
      const seeds = [encode(wallet), encode(program), encode(mint)];
      return (await getProgramDerivedAddress({ programAddress: ASSOCIATED, seeds }))[0];
    };
    const [source, destination] = [await ataOf(payer.address), await ataOf(owner.address)];
    const create = (wallet: Address, ata: Address) =>
      getCreateAssociatedTokenIdempotentInstruction({ payer, ata, owner: wallet, mint, tokenProgram: program });
    const config = { programAddress: program };
    const transfer = getTransferCheckedInstruction(
      { source, mint, destination, authority: payer, amount: DUE, decimals: 6 },
      config,
    );
    const minting = getMintToInstruction({ mint, token: source, mintAuthority: payer, amount: DUE }, config);
    await this.send(create(payer.address, source), create(owner.address, destination), minting);
    return { transfer: withReferences(transfer, [this.a]) };
  }
}

const memo = (text: string) => getAddMemoInstruction({ memo: text });
const limit: Instruction = { programAddress: COMPUTE_BUDGET, data: Uint8Array.of(2, 0x40, 0x0d, 0x03, 0) };
const price: Instruction = { programAddress: COMPUTE_BUDGET, data: Uint8Array.of(3, 1, 0, 0, 0, 0, 0, 0, 0) };

/** SIMD-0266: several instructions of the token program in one. */
function batch(...instructions: readonly Instruction[]): Instruction {
  const parts = instructions.flatMap(({ accounts = [], data = [] }) => [accounts.length, data.length, ...data]);
  return {
    programAddress: TOKEN_PROGRAM_ADDRESS,
    accounts: instructions.flatMap(({ accounts }) => accounts ?? []),
    data: Uint8Array.from([255, ...parts]),
  };
}

/** Token-2022's transfer fee of 1 %, as the extension lies behind the mint: padding, account type, type, length. */
function transferFeeExtension(): Uint8Array {
  const extension = new Uint8Array(83 + 1 + 4 + 108);
  const view = new DataView(extension.buffer);
  extension[83] = 1;
  view.setUint16(84, 1, true);
  view.setUint16(86, 108, true);
  for (const at of [88 + 72, 88 + 90]) {
    view.setBigUint64(at + 8, 2n ** 63n, true);
    view.setUint16(at + 16, 100, true);
  }
  return extension;
}

const paid: Outcome = { counts: [DUE, 0n], unallocated: 0n };
const nothing: Outcome = { counts: [0n, 0n], unallocated: 0n };
const both: Outcome = { counts: [DUE, DUE], unallocated: 0n };
const forA = (amount: bigint): Outcome => ({ counts: [amount, 0n], unallocated: 0n });
const nobodys = (amount: bigint): Outcome => ({ counts: [0n, 0n], unallocated: amount });

const cases: CorpusCase[] = [];
const group = (name: string, entries: readonly [string, Outcome, CorpusCase["build"]][]) => {
  for (const [title, expected, build] of entries) cases.push({ group: name, name: title, expected, build });
};

group("As specified", [
  ["TransferChecked with the reference", paid, (s) => s.send(s.transfer())],
  ["plain Transfer with the reference", paid, (s) => s.send(s.plain())],
  ["a legacy transaction", paid, (s) => s.sendLegacy(s.transfer())],
  ["a memo before", paid, (s) => s.send(memo("order 7"), s.transfer())],
  ["compute limit and price before", paid, (s) => s.send(limit, price, s.transfer())],
  ["limit, price and memo before, legacy", paid, (s) => s.sendLegacy(limit, price, memo("x"), s.transfer())],
]);

group("What wallets add", [
  ["a guard behind the transfer", paid, (s) => s.send(s.transfer(), s.nothing())],
  ["three guards behind", paid, (s) => s.send(s.transfer(), s.nothing(), memo("guard"), memo("guard 2"))],
  ["guards before and behind", paid, (s) => s.send(memo("guard"), limit, s.transfer(), memo("guard"), s.nothing())],
  ["a memo behind", paid, (s) => s.send(s.transfer(), memo("order 7"))],
  ["memos before and behind", paid, (s) => s.send(memo("one"), s.transfer(), memo("two"))],
  ["compute limit behind", paid, (s) => s.send(s.transfer(), limit)],
  ["a guard behind, legacy", paid, (s) => s.sendLegacy(s.transfer(), memo("guard"))],
  ["a tip in SOL to somebody behind", paid, (s) => s.send(s.transfer(), s.nothing())],
]);

group("References", [
  ["a foreign reference behind ours", paid, async (s) => s.send(s.transfer(DUE, [s.a, await stranger()]))],
  ["a foreign reference before ours", paid, async (s) => s.send(s.transfer(DUE, [await stranger(), s.a]))],
  [
    "three foreign ones around ours",
    paid,
    async (s) => s.send(s.transfer(DUE, [await stranger(), s.a, await stranger(), await stranger()])),
  ],
  ["ours twice", paid, (s) => s.send(s.transfer(DUE, [s.a, s.a]))],
  ["on another instruction behind", paid, (s) => s.send(s.transfer(DUE, []), s.nothing([s.a]))],
  ["on another instruction before", paid, (s) => s.send(s.nothing([s.a]), s.transfer(DUE, []))],
  ["on the transfer and another instruction", paid, (s) => s.send(s.transfer(), s.nothing([s.a]))],
  ["none at all", nobodys(DUE), (s) => s.send(s.transfer(DUE, []))],
  ["only a foreign one", nobodys(DUE), async (s) => s.send(s.transfer(DUE, [await stranger()]))],
  ["one transfer for two payments: the first counts", paid, (s) => s.send(s.transfer(DUE, [s.a, s.b]))],
  [
    "one transfer for two payments, the other first",
    { counts: [0n, DUE], unallocated: 0n },
    (s) => s.send(s.transfer(DUE, [s.b, s.a])),
  ],
  [
    "one transfer, both references elsewhere: nobody can tell",
    nobodys(DUE),
    (s) => s.send(s.transfer(DUE, []), s.nothing([s.a, s.b])),
  ],
  [
    "the reference on a transfer to somebody else",
    paid,
    async (s) => s.send(await toStranger(s, DUE, [s.a]), s.transfer(DUE, [])),
  ],
]);

group("Several transfers", [
  ["two transfers, a reference each", both, (s) => s.send(s.transfer(DUE, [s.a]), s.transfer(DUE, [s.b]))],
  [
    "the same with guards between",
    both,
    (s) => s.send(s.transfer(DUE, [s.a]), memo("guard"), s.transfer(DUE, [s.b]), s.nothing()),
  ],
  [
    "the same in one batch of the token program",
    both,
    (s) => s.send(batch(s.transfer(DUE, [s.a]), s.transfer(DUE, [s.b]))),
  ],
  ["two halves with the same reference", paid, (s) => s.send(s.transfer(DUE / 2n), s.transfer(DUE / 2n))],
  ["one named, one nameless", { counts: [DUE, 0n], unallocated: 3n }, (s) => s.send(s.transfer(3n, []), s.transfer())],
  [
    "another customer's payment is the larger one",
    { counts: [1n, DUE], unallocated: 0n },
    (s) => s.send(s.transfer(DUE, [s.b]), s.transfer(1n, [s.a])),
  ],
  [
    "two transfers, one reference elsewhere: nobody can tell",
    nobodys(DUE),
    (s) => s.send(s.transfer(DUE / 2n, []), s.transfer(DUE / 2n, []), s.nothing([s.a])),
  ],
  ["a plain one and a checked one", both, (s) => s.send(s.plain(DUE, [s.b]), s.transfer())],
]);

group("Amounts", [
  ["one micro-USDC short", forA(DUE - 1n), (s) => s.send(s.transfer(DUE - 1n))],
  ["one micro-USDC more", forA(DUE + 1n), (s) => s.send(s.transfer(DUE + 1n))],
  ["twice as much", forA(2n * DUE), (s) => s.send(s.transfer(2n * DUE))],
  ["dust", forA(1n), (s) => s.send(s.transfer(1n))],
  ["nothing", nothing, (s) => s.send(s.transfer(0n))],
  ["more than the payer has: it fails", nothing, (s) => s.send(s.transfer(200_000_000n))],
  ["a later instruction fails, so all of it does", nothing, (s) => s.send(s.transfer(), s.transfer(200_000_000n, []))],
  ["goes in and comes out again in part", forA(DUE), async (s) => s.send(s.transfer(), s.outward(DUE - 1n, s.source))],
  ["goes in and comes out again whole", forA(DUE), async (s) => s.send(s.transfer(), s.outward(DUE, s.source))],
  ["only out", nothing, (s) => s.send(s.outward(1_000n, s.source, [s.a]))],
  ["from the shop to itself", nothing, (s) => s.send(s.outward(1_000n, s.account, [s.a]))],
]);

group("Token accounts", [
  [
    "the shop's account is made in the same transaction",
    paid,
    async (s) => s.send(await s.createAccount(), s.transfer()),
  ],
  [
    "made in the same transaction, with guards",
    paid,
    async (s) => s.send(limit, await s.createAccount(), s.transfer(), memo("guard")),
  ],
  [
    "the payer's account is closed behind the transfer",
    forA(100_000_000n),
    (s) =>
      s.send(
        s.transfer(100_000_000n),
        getCloseAccountInstruction({
          account: s.source,
          destination: s.payer.address,
          owner: s.payer,
        }),
      ),
  ],
  [
    "the shop's account is frozen: it fails",
    nothing,
    (s) => {
      s.freeze(s.account);
      return s.send(s.transfer());
    },
  ],
  [
    "the payer's account is frozen: it fails",
    nothing,
    (s) => {
      s.freeze(s.source);
      return s.send(s.transfer());
    },
  ],
  [
    "the shop's account is closed: it fails",
    nothing,
    async (s) => {
      await s.send(
        s.outward(1_000_000n, s.source),
        getCloseAccountInstruction({ account: s.account, destination: s.payer.address, owner: s.owner }),
      );
      return await s.send(s.transfer());
    },
  ],
  [
    "a second USDC account of the shop",
    nothing,
    async (s) => {
      const aside = await generateKeyPairSigner();
      const { chain, payer, owner } = s;
      const lamports = chain.state.svm.rentExemptLamports(165);
      const mint = chain.usdcMint;
      const checked = {
        source: s.source,
        mint,
        destination: aside.address,
        authority: payer,
        amount: DUE,
        decimals: 6,
      };
      return await s.send(
        getCreateAccountInstruction({
          payer,
          newAccount: aside,
          lamports,
          space: 165n,
          programAddress: TOKEN_PROGRAM_ADDRESS,
        }),
        getInitializeAccount3Instruction({ account: aside.address, mint, owner: owner.address }),
        withReferences(getTransferCheckedInstruction(checked), [s.a]),
      );
    },
  ],
]);

group("Who signs", [
  [
    "a delegate",
    paid,
    async (s) => {
      const delegate = await generateKeyPairSigner();
      await s.send(
        getApproveInstruction({ source: s.source, delegate: delegate.address, owner: s.payer, amount: DUE }),
      );
      const { source, account, chain } = s;
      const mint = chain.usdcMint;
      const checked = { source, mint, destination: account, authority: delegate, amount: DUE, decimals: 6 };
      return await s.send(withReferences(getTransferCheckedInstruction(checked), [s.a]));
    },
  ],
  ["a multisig of the token program, two of two", paid, multisigPayment],
  [
    "somebody else pays the fee",
    paid,
    async (s) => {
      const sponsor = await fundedWallet(s.chain, 0n);
      return await send(s.chain, sponsor, [s.transfer()], { skipPreflight: true });
    },
  ],
]);

group("By another program, and lookup tables", [
  ["a transfer by another program", paid, nestedPayment],
  [
    "our account and the reference in a lookup table",
    paid,
    (s) => s.sendWithTable([s.account, s.a, s.chain.usdcMint], s.transfer()),
  ],
  ["only the reference in a lookup table", paid, (s) => s.sendWithTable([s.a], s.transfer())],
  [
    "a lookup table and guards",
    paid,
    (s) => s.sendWithTable([s.account, s.a, s.chain.usdcMint], limit, memo("x"), s.transfer(), s.nothing()),
  ],
  ["inside a batch of the token program", paid, (s) => s.send(batch(s.transfer()))],
  ["minted straight into the shop's account", paid, (s) => mintedPayment(s)],
]);

group("What is no USDC", [
  ["another mint", nothing, async (s) => s.send((await s.otherToken(TOKEN_PROGRAM_ADDRESS)).transfer)],
  ["a Token-2022 copy", nothing, async (s) => s.send((await s.otherToken(TOKEN_2022)).transfer)],
  [
    "a Token-2022 copy with a transfer fee of 1 %",
    nothing,
    async (s) => s.send((await s.otherToken(TOKEN_2022, transferFeeExtension())).transfer),
  ],
  [
    "another mint and one micro-USDC",
    forA(1n),
    async (s) => s.send((await s.otherToken(TOKEN_PROGRAM_ADDRESS)).transfer, s.transfer(1n)),
  ],
  [
    "SOL",
    nothing,
    (s) =>
      s.send(
        withReferences(
          getTransferSolInstruction({ source: s.payer, destination: s.owner.address, amount: 5_000_000n }),
          [s.a],
        ),
      ),
  ],
  [
    "SOL to the token account itself",
    nothing,
    (s) =>
      s.send(
        withReferences(getTransferSolInstruction({ source: s.payer, destination: s.account, amount: 5_000_000n }), [
          s.a,
        ]),
      ),
  ],
]);

group("Other instructions of the token program", [
  [
    "approve, with the reference",
    nothing,
    (s) =>
      s.send(
        withReferences(
          getApproveInstruction({ source: s.source, delegate: s.owner.address, owner: s.payer, amount: DUE }),
          [s.a],
        ),
      ),
  ],
  [
    "revoke, with the reference",
    nothing,
    (s) => s.send(withReferences(getRevokeInstruction({ source: s.source, owner: s.payer }), [s.a])),
  ],
  [
    "burn, with the reference",
    nothing,
    (s) =>
      s.send(
        withReferences(
          getBurnInstruction({
            account: s.source,
            mint: s.chain.usdcMint,
            authority: s.payer,
            amount: DUE,
          }),
          [s.a],
        ),
      ),
  ],
  [
    "approve before the transfer",
    paid,
    (s) =>
      s.send(
        getApproveInstruction({ source: s.source, delegate: s.owner.address, owner: s.payer, amount: DUE }),
        s.transfer(),
      ),
  ],
  [
    "SyncNative of our account fails",
    nothing,
    (s) => s.send(s.transfer(), withReferences(getSyncNativeInstruction({ account: s.account }), [])),
  ],
  ["a transfer to somebody else, with the reference", nothing, async (s) => s.send(await toStranger(s, DUE, [s.a]))],
]);

export const CORPUS: readonly CorpusCase[] = cases;

/** Those whose shop has no token account before. */
export const startsWithoutAccount = ({ name }: CorpusCase) => name.includes("made in the same transaction");

const stranger = async () => (await generateKeyPairSigner()).address;

async function toStranger(s: Shop, amount: bigint, references: readonly string[]): Promise<Instruction> {
  const other = await fundedWallet(s.chain, 1n);
  const mint = s.chain.usdcMint;
  const destination = await usdcAccountOf(s.chain, other.address);
  const checked = { source: s.source, mint, destination, authority: s.payer, amount, decimals: 6 };
  return withReferences(getTransferCheckedInstruction(checked), references);
}

/** Money in the account that belongs to the shop's token account is brought to the shop by the associated program. */
async function nestedPayment(s: Shop): Promise<string> {
  const { chain, payer, owner, account } = s;
  const mint = chain.usdcMint;
  const nested = await usdcAccountOf(chain, account);
  const checked = { source: s.source, mint, destination: nested, authority: payer, amount: DUE, decimals: 6 };
  await s.send(
    await getCreateAssociatedTokenInstructionAsync({ payer, owner: account, mint }),
    getTransferCheckedInstruction(checked),
  );
  const recover = getRecoverNestedAssociatedTokenInstruction({
    nestedAssociatedAccountAddress: nested,
    nestedTokenMintAddress: mint,
    destinationAssociatedAccountAddress: account,
    ownerAssociatedAccountAddress: account,
    ownerTokenMintAddress: mint,
    walletAddress: owner,
  });
  return await s.send(withReferences(recover, [s.a]));
}

async function multisigPayment(s: Shop): Promise<string> {
  const { chain, payer } = s;
  const [multisig, second] = [await generateKeyPairSigner(), await generateKeyPairSigner()];
  const space = 355n;
  const mint = chain.usdcMint;
  const treasury = await usdcAccountOf(chain, multisig.address);
  const fund = { source: s.source, mint, destination: treasury, authority: payer, amount: DUE, decimals: 6 };
  await s.send(
    getCreateAccountInstruction({
      payer,
      newAccount: multisig,
      lamports: chain.state.svm.rentExemptLamports(Number(space)),
      space,
      programAddress: TOKEN_PROGRAM_ADDRESS,
    }),
    getInitializeMultisig2Instruction({ multisig: multisig.address, m: 2, signers: [payer.address, second.address] }),
    await getCreateAssociatedTokenInstructionAsync({ payer, owner: multisig.address, mint }),
    getTransferCheckedInstruction(fund),
  );
  const transfer = getTransferCheckedInstruction({
    source: treasury,
    mint,
    destination: s.account,
    authority: multisig.address,
    amount: DUE,
    decimals: 6,
    multiSigners: [payer, second],
  });
  return await s.send(withReferences(transfer, [s.a]));
}

/** As an issuer would: the mint's authority is made the payer's. */
async function mintedPayment(s: Shop): Promise<string> {
  const { svm } = s.chain.state;
  const mint = s.chain.usdcMint;
  const found = svm.account(mint);
  if (found === null) throw new Error("no mint");
  const data = Uint8Array.from(found.data);
  data.set(getAddressEncoder().encode(s.payer.address), 4);
  svm.setAccount(mint, { ...found, data });
  const minting = getMintToInstruction({ mint, token: s.account, mintAuthority: s.payer, amount: DUE });
  return await s.send(withReferences(minting, [s.a]));
}

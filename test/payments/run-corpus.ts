/** Runs the corpus through our verifier and through that of @solana/pay, and prints both as a table. */
import { createRequire } from "node:module";
import { type Address, type Rpc, type Signature, type SolanaRpcApi, signature as toSignature } from "@solana/kit";
import { formatUsdc } from "@volley/schema/money";
import { rpcChain } from "../../api/chain/rpc.ts";
import { attributeTransfers } from "../../api/payments/inbound/attribute-transfers.ts";
import { verifyTransaction } from "../../api/payments/inbound/verify-transaction.ts";
import type { ChainTransaction } from "../../api/ports/chain.ts";
import { advance, rpcOf } from "../chain/wallet.ts";
import { CORPUS, type CorpusCase, DUE, type Outcome, Shop, startsWithoutAccount } from "./corpus.ts";

/** What we compare ourselves with. It is a dependency of the API alone, so it is found from there. */
interface SolanaPay {
  findReference(rpc: Rpc<SolanaRpcApi>, reference: Address, options: Level): Promise<{ signature: string }>;
  validateTransfer(
    rpc: Rpc<SolanaRpcApi>,
    signature: Signature,
    fields: { recipient: Address; amount: number; splToken: Address; reference: Address },
    options: Level,
  ): Promise<unknown>;
}
interface Level {
  readonly commitment: "confirmed";
}
const solanaPay: unknown = createRequire(new URL("../../api/package.json", import.meta.url))("@solana/pay");
const { findReference, validateTransfer } = solanaPay as SolanaPay;

export interface CorpusResult {
  readonly entry: CorpusCase;
  readonly shop: Shop;
  readonly signature: Signature;
  readonly transaction: ChainTransaction;
  readonly ours: Outcome;
  /** What validateTransfer says: null when it accepts, else its reason. */
  readonly refusal: string | null;
  /** Whether findReference leads to the transaction. */
  readonly found: boolean;
}

const clock = { nowMs: () => 0, sleep: async () => undefined };

export async function runCase(entry: CorpusCase): Promise<CorpusResult> {
  const shop = await Shop.open(!startsWithoutAccount(entry));
  const signature = toSignature(await entry.build(shop));
  advance(shop.chain, 1);
  const rpc = rpcOf(shop.chain);
  const transaction = await rpcChain(rpc, { clock }).transaction(signature, "confirmed");
  if (transaction === null) throw new Error(`${entry.name}: the transaction did not land`);
  const found = await findReference(rpc, shop.a, { commitment: "confirmed" }).then(
    (info) => info.signature === signature,
    () => false,
  );
  const refusal = await refusalOfPay(shop, signature);
  return { entry, shop, signature, transaction, ours: oursOf(shop, transaction), refusal, found };
}

export function oursOf(shop: Shop, transaction: ChainTransaction): Outcome {
  const treasury = { owner: shop.owner.address, mint: shop.chain.usdcMint, tokenAccount: shop.account };
  const references = [shop.a, shop.b];
  const { transfers } = attributeTransfers(verifyTransaction(transaction, treasury), new Set(references));
  const sumOf = (reference: string | null) =>
    transfers
      .filter((transfer) => transfer.reference === reference)
      .reduce((sum, { amountMicroUsdc }) => sum + amountMicroUsdc, 0n);
  return { counts: references.map(sumOf), unallocated: sumOf(null) };
}

/** Why validateTransfer refuses, or null when it accepts. */
export async function refusalOfPay(shop: Shop, signature: Signature, rpc = rpcOf(shop.chain)): Promise<string | null> {
  const fields = {
    recipient: shop.owner.address,
    amount: Number(DUE) / 1e6,
    splToken: shop.chain.usdcMint,
    reference: shop.a,
  };
  try {
    await validateTransfer(rpc, signature, fields, { commitment: "confirmed" });
    return null;
  } catch (error) {
    // Only the beginning, which names no addresses.
    return error instanceof Error ? (error.message.split(/[:.(;\n]/)[0] ?? "").trim() : "refused";
  }
}

const print = ({ counts: [a = 0n, b = 0n], unallocated }: Outcome): string => {
  const parts = [
    a > 0n ? `${formatUsdc(a)} for A` : "",
    b > 0n ? `${formatUsdc(b)} for B` : "",
    unallocated > 0n ? `${formatUsdc(unallocated)} unallocated` : "",
  ].filter((part) => part !== "");
  return parts.length === 0 ? "nothing" : parts.join(", ");
};

const isRight = ({ entry, ours }: CorpusResult) => print(ours) === print(entry.expected);
/** Accepting means that A has been paid in full. */
const payIsRight = ({ entry, refusal }: CorpusResult) => (refusal === null) === (entry.expected.counts[0] ?? 0n) >= DUE;

export async function runCorpus(): Promise<CorpusResult[]> {
  const results = [];
  for (const entry of CORPUS) results.push(await runCase(entry));
  return results;
}

export function renderCorpus(results: readonly CorpusResult[]): string {
  const mark = (right: boolean) => (right ? "✓" : "✗");
  const rows = results.map((result) => {
    const { entry, refusal, found } = result;
    const pay = refusal === null ? "accepts" : `refuses: ${refusal}`;
    const cells = [entry.group, entry.name, print(entry.expected), print(result.ours), mark(isRight(result))];
    return `| ${[...cells, pay, mark(payIsRight(result)), found ? "yes" : "no"].join(" | ")} |`;
  });
  const count = (right: (result: CorpusResult) => boolean) => results.filter(right).length;
  return `# Payments corpus

${results.length} transactions, each built as a wallet would build it and executed by Solana's virtual machine
(\`test/payments/corpus.ts\`). Payments A and B, of ${formatUsdc(DUE)} USDC each, are open. "Right" is what the rules of
[ADR 8](adr/0008-payments-by-effect.md) demand; for \`validateTransfer\` of \`@solana/pay\` 1.0.16, asked about A, it is
to accept exactly when A has been paid in full. "Found" says whether its \`findReference\` leads from A's reference to
the transaction.

Programs that the virtual machine doesn't have are stood in for: Memo, Compute Budget and System instructions where
wallets put guards such as Lighthouse, and RecoverNested of the associated token program for a transfer by CPI.

Generated by \`npm run corpus\`; a test compares.

Ours: ${count(isRight)} of ${results.length} right. \`validateTransfer\`: ${count(payIsRight)} of ${results.length} right.

| group | transaction | right | ours | | \`validateTransfer\` | | found |
|---|---|---|---|---|---|---|---|
${rows.join("\n")}
`;
}

import { TOKEN_PROGRAM_ADDRESS } from "@solana-program/token";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { attributeTransfers } from "../../api/payments/inbound/attribute-transfers.ts";
import { verifyTransaction } from "../../api/payments/inbound/verify-transaction.ts";
import type { ChainInstruction, ChainTransaction, TokenBalance } from "../../api/ports/chain.ts";

const TOKEN_2022_PROGRAM_ADDRESS = "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb";
const OURS = { owner: "treasury", mint: "usdc", tokenAccount: "our-account" };
const u64 = (amount: bigint) => {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, amount, true);
  return [...bytes];
};

interface Move {
  readonly form: "transfer" | "transferChecked" | "batch";
  readonly from: string;
  readonly to: string;
  readonly amount: bigint;
  readonly references: readonly string[];
}

function instructionOf({ form, from, to, amount, references }: Move): ChainInstruction {
  const programId = TOKEN_PROGRAM_ADDRESS;
  if (form === "transferChecked") {
    const data = Uint8Array.from([12, ...u64(amount), 6]);
    return { programId, accounts: [from, "usdc", to, "authority", ...references], data };
  }
  const accounts = [from, to, "authority", ...references];
  const transfer = [3, ...u64(amount)];
  if (form === "transfer") return { programId, accounts, data: Uint8Array.from(transfer) };
  return { programId, accounts, data: Uint8Array.from([255, accounts.length, transfer.length, ...transfer]) };
}

/** A transaction that really did these moves, as a node would tell of it. */
function transactionOf(moves: readonly Move[], changes: Partial<ChainTransaction> = {}): ChainTransaction {
  const accounts = ["our-account", "account-a", "account-b"];
  const held = new Map(accounts.map((account) => [account, 2n ** 60n]));
  const balances = (): TokenBalance[] =>
    accounts.map((account, accountIndex) => ({
      accountIndex,
      mint: "usdc",
      owner: account === "our-account" ? "treasury" : `owner of ${account}`,
      programId: TOKEN_PROGRAM_ADDRESS,
      amount: held.get(account) ?? 0n,
    }));
  const before = balances();
  for (const { from, to, amount } of moves) {
    held.set(from, (held.get(from) ?? 0n) - amount);
    held.set(to, (held.get(to) ?? 0n) + amount);
  }
  return {
    signature: "signature",
    signatures: ["signature"],
    slot: 1n,
    blockTimeSeconds: 1,
    failed: false,
    accountKeys: [...accounts, "usdc", "authority", ...new Set(moves.flatMap((move) => move.references))],
    instructions: moves.map(instructionOf),
    preTokenBalances: before,
    postTokenBalances: balances(),
    ...changes,
  };
}

const account = fc.constantFrom("our-account", "account-a", "account-b");
const move: fc.Arbitrary<Move> = fc.record({
  form: fc.constantFrom("transfer", "transferChecked", "batch"),
  from: account,
  to: account,
  amount: fc.bigInt({ min: 0n, max: 2n ** 40n }),
  references: fc.uniqueArray(fc.constantFrom("ref-1", "ref-2", "ref-3"), { maxLength: 3 }),
});
const moves = fc.array(move, { maxLength: 8 });
const inwardOf = (list: readonly Move[]) =>
  list.filter(({ from, to, amount }) => to === "our-account" && from !== to && amount > 0n);
const changeOf = (transaction: ChainTransaction) =>
  (transaction.postTokenBalances[0]?.amount ?? 0n) - (transaction.preTokenBalances[0]?.amount ?? 0n);
const sum = (list: readonly { amountMicroUsdc: bigint }[]) =>
  list.reduce((total, { amountMicroUsdc }) => total + amountMicroUsdc, 0n);

describe("verifyTransaction", () => {
  test("finds every transfer into our account, with its amount, source and references, and nothing else", () => {
    fc.assert(
      fc.property(moves, (list) => {
        const { transfers } = verifyTransaction(transactionOf(list), OURS);
        expect(transfers).toEqual(
          inwardOf(list).map(({ from, amount, references }, index) => ({
            index,
            amountMicroUsdc: amount,
            sourceOwner: `owner of ${from}`,
            referenceKeys: references,
          })),
        );
      }),
    );
  });

  test("counts what came even if no instruction is understood", () => {
    fc.assert(
      fc.property(moves, (list) => {
        const transaction = transactionOf(list, { instructions: [] });
        const change = changeOf(transaction);
        const { transfers } = verifyTransaction(transaction, OURS);
        expect(sum(transfers)).toBe(change > 0n ? change : 0n);
        expect(transfers.every((transfer) => transfer.referenceKeys.length === 0)).toBe(true);
      }),
    );
  });

  test("never counts more than came, whatever the instructions claim", () => {
    fc.assert(
      fc.property(moves, moves, (done, claimed) => {
        const onlyInward = claimed.filter(({ from }) => from !== "our-account");
        const transaction = transactionOf(done, { instructions: onlyInward.map(instructionOf) });
        const change = changeOf(transaction);
        expect(sum(verifyTransaction(transaction, OURS).transfers)).toBe(change > 0n ? change : 0n);
      }),
    );
  });

  test("of a failed transaction nothing counts", () => {
    const list: Move[] = [{ form: "transfer", from: "account-a", to: "our-account", amount: 5n, references: [] }];
    expect(verifyTransaction(transactionOf(list, { failed: true }), OURS).transfers).toEqual([]);
  });

  test.each([
    ["another mint", { mint: "other" }, "other_mint"],
    ["a Token-2022 account of the same name", { programId: TOKEN_2022_PROGRAM_ADDRESS }, "token_2022"],
    ["another token account of ours", {}, "other_account"],
  ])("%s is recognised and doesn't count", (_name, difference, kind) => {
    const at = kind === "other_account" ? 1 : 0;
    const keys = kind === "other_account" ? ["our-account", "aside"] : ["their-account-of-ours", "x"];
    const balance = { accountIndex: at, mint: "usdc", owner: "treasury", programId: TOKEN_PROGRAM_ADDRESS };
    const verified = verifyTransaction(
      transactionOf([], {
        accountKeys: keys,
        preTokenBalances: [],
        postTokenBalances: [{ ...balance, amount: 7n, ...difference }],
      }),
      OURS,
    );
    expect(verified.transfers).toEqual([]);
    expect(verified.lookAlikes).toEqual([{ kind, mint: "mint" in difference ? difference.mint : "usdc" }]);
  });

  test.each([
    ["another mint", { mint: "other" }],
    ["another program", { programId: TOKEN_2022_PROGRAM_ADDRESS }],
  ])("our account's address with %s counts nothing", (_name, difference) => {
    const list: Move[] = [{ form: "transfer", from: "account-a", to: "our-account", amount: 5n, references: [] }];
    const transaction = transactionOf(list);
    const changed = (balances: readonly TokenBalance[]) =>
      balances.map((balance) => (balance.accountIndex === 0 ? { ...balance, ...difference } : balance));
    const { transfers } = verifyTransaction(
      {
        ...transaction,
        preTokenBalances: changed(transaction.preTokenBalances),
        postTokenBalances: changed(transaction.postTokenBalances),
      },
      OURS,
    );
    expect(transfers).toEqual([]);
  });

  test("an account that was made in the same transaction had nothing before", () => {
    const list: Move[] = [
      { form: "transferChecked", from: "account-a", to: "our-account", amount: 5n, references: [] },
    ];
    const transaction = transactionOf(list);
    const { transfers } = verifyTransaction(
      {
        ...transaction,
        preTokenBalances: transaction.preTokenBalances.slice(1),
        postTokenBalances: transaction.postTokenBalances.map((balance) =>
          balance.accountIndex === 0 ? { ...balance, amount: 5n } : balance,
        ),
      },
      OURS,
    );
    expect(sum(transfers)).toBe(5n);
  });

  test("any bytes in an instruction are survived", () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ data: fc.uint8Array({ maxLength: 40 }), accounts: fc.array(account, { maxLength: 6 }) })),
        moves,
        (noise, list) => {
          const transaction = transactionOf(list, {
            instructions: noise.map((each) => ({ ...each, programId: TOKEN_PROGRAM_ADDRESS })),
          });
          verifyTransaction(transaction, OURS);
        },
      ),
    );
  });
});

describe("attributeTransfers", () => {
  const attribute = (list: readonly Move[], ours: readonly string[], changes: Partial<ChainTransaction> = {}) =>
    attributeTransfers(verifyTransaction(transactionOf(list, changes), OURS), new Set(ours));
  const inward = (amount: bigint, references: string[] = []): Move => ({
    form: "transferChecked",
    from: "account-a",
    to: "our-account",
    amount,
    references,
  });

  test("each transfer counts for the reference on its own instruction", () => {
    const { transfers } = attribute([inward(1n, ["ref-1"]), inward(2n, ["ref-2"])], ["ref-1", "ref-2"]);
    expect(transfers.map((transfer) => transfer.reference)).toEqual(["ref-1", "ref-2"]);
  });

  test("with two references the first of ours counts, and the other is told", () => {
    const attribution = attribute([inward(1n, ["stranger", "ref-2", "ref-1"])], ["ref-1", "ref-2"]);
    expect(attribution.transfers[0]?.reference).toBe("ref-2");
    expect(attribution.passedOver).toEqual(["ref-1"]);
  });

  test("a reference elsewhere in the transaction counts when there is nothing to choose", () => {
    const elsewhere = { accountKeys: [...transactionOf([inward(1n)]).accountKeys, "ref-1"] };
    expect(attribute([inward(1n)], ["ref-1"], elsewhere).transfers[0]?.reference).toBe("ref-1");
    const two = { accountKeys: [...elsewhere.accountKeys, "ref-2"] };
    expect(attribute([inward(1n)], ["ref-1", "ref-2"], two).transfers[0]?.reference).toBeNull();
    const both = attribute([inward(1n), inward(2n)], ["ref-1"], elsewhere);
    expect(both.transfers.map((transfer) => transfer.reference)).toEqual([null, null]);
  });

  test("no transfer counts twice, and only for references that it may count for", () => {
    fc.assert(
      fc.property(moves, fc.uniqueArray(fc.constantFrom("ref-1", "ref-2", "ref-3")), (list, ours) => {
        const { transfers, passedOver } = attribute(list, ours);
        expect(transfers).toHaveLength(inwardOf(list).length);
        for (const { reference } of transfers) {
          if (reference !== null) expect(ours).toContain(reference);
        }
        for (const reference of passedOver) {
          expect(transfers.some((transfer) => transfer.reference === reference)).toBe(false);
        }
      }),
    );
  });
});

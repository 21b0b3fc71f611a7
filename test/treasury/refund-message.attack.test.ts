/** The signer reads what it is about to sign: whatever isn't the refund's own transfer is refused. */
import {
  AccountRole,
  type Address,
  address,
  appendTransactionMessageInstructions,
  type Blockhash,
  compileTransaction,
  createTransactionMessage,
  generateKeyPairSigner,
  type Instruction,
  type KeyPairSigner,
  pipe,
  setTransactionMessageFeePayer,
  setTransactionMessageLifetimeUsingBlockhash,
} from "@solana/kit";
import { getAddMemoInstruction } from "@solana-program/memo";
import { getTransferSolInstruction } from "@solana-program/system";
import { getApproveInstruction, getTransferCheckedInstruction } from "@solana-program/token";
import { beforeAll, expect, test } from "vitest";
import { checkRefundMessage, type RefundEffect } from "../../api/treasury/check-refund-message.ts";
import { SignerError } from "../../api/treasury/signer-error.ts";

const TOKEN_2022 = address("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb");

let treasury: KeyPairSigner;
let other: Address;
let effect: RefundEffect;
let source: Address;
let mint: Address;
let destination: Address;
beforeAll(async () => {
  treasury = await generateKeyPairSigner();
  const some = async () => (await generateKeyPairSigner()).address;
  [source, mint, destination, other] = [await some(), await some(), await some(), await some()];
  effect = { signer: treasury.address, source, mint, destination, amountMicroUsdc: 5n, memo: "rfd_1" };
});

const memo = (text = "rfd_1") => getAddMemoInstruction({ memo: text });
const transfer = (parts: Partial<Parameters<typeof getTransferCheckedInstruction>[0]> = {}) =>
  getTransferCheckedInstruction({ source, mint, destination, authority: treasury, amount: 5n, decimals: 6, ...parts });

function bytesOf(instructions: readonly Instruction[], payer: Address = treasury.address, version: 0 | "legacy" = 0) {
  const lifetime = { blockhash: "11111111111111111111111111111111" as Blockhash, lastValidBlockHeight: 1n };
  const message = pipe(
    createTransactionMessage({ version }),
    (empty) => setTransactionMessageFeePayer(payer, empty),
    (paid) => setTransactionMessageLifetimeUsingBlockhash(lifetime, paid),
    (live) => appendTransactionMessageInstructions(instructions, live),
  );
  return new Uint8Array(compileTransaction(message).messageBytes);
}

test("the refund itself passes", () => {
  expect(() => checkRefundMessage(bytesOf([memo(), transfer()]), effect)).not.toThrow();
});

const drained = () => getTransferSolInstruction({ source: treasury, destination: other, amount: 1n });
const approved = () => getApproveInstruction({ source, delegate: other, owner: treasury, amount: 5n });
const asOtherProgram = (): Instruction => ({ ...transfer(), programAddress: TOKEN_2022 });
const looseEnds = (): Instruction => {
  const { accounts = [], ...rest } = transfer() as Instruction;
  return { ...rest, accounts: [...accounts, { address: other, role: AccountRole.READONLY }] };
};
const cases: Record<string, () => Uint8Array> = {
  "another destination": () => bytesOf([memo(), transfer({ destination: other })]),
  "another source": () => bytesOf([memo(), transfer({ source: other })]),
  "another mint": () => bytesOf([memo(), transfer({ mint: other })]),
  "a larger amount": () => bytesOf([memo(), transfer({ amount: 6n })]),
  "other decimals": () => bytesOf([memo(), transfer({ decimals: 5 })]),
  "another memo": () => bytesOf([memo("rfd_2"), transfer()]),
  "no memo": () => bytesOf([transfer()]),
  "the transfer twice": () => bytesOf([memo(), transfer(), transfer()]),
  "SOL besides": () => bytesOf([memo(), transfer(), drained()]),
  "SOL instead of a memo": () => bytesOf([drained(), transfer()]),
  "an approval instead of a transfer": () => bytesOf([memo(), approved()]),
  "another token program": () => bytesOf([memo(), asOtherProgram()]),
  "an account more": () => bytesOf([memo(), looseEnds()]),
  "another fee payer": () => bytesOf([memo(), transfer()], other),
  "a legacy message": () => bytesOf([memo(), transfer()], treasury.address, "legacy"),
};
test.each(Object.entries(cases))("%s is not signed", (_, bytes) => {
  expect(() => checkRefundMessage(bytes(), effect)).toThrow(SignerError);
});

/** A transaction's failure in the JSON form of Solana's RPC: a name, or a name with its details. */
export type TransactionError =
  | string
  | { InstructionError: [number, string | { Custom: number } | { BorshIoError: string }] }
  | { DuplicateInstruction: number }
  | { InsufficientFundsForRent: { account_index: number } }
  | { ProgramExecutionTemporarilyRestricted: { account_index: number } };

const sentences: Record<string, string> = {
  AccountNotFound: "Attempt to debit an account but found no record of a prior credit.",
  AlreadyProcessed: "This transaction has already been processed",
  BlockhashNotFound: "Blockhash not found",
  InsufficientFunds: "insufficient funds for instruction",
  InsufficientFundsForFee: "Insufficient funds for fee",
  InsufficientFundsForRent: "Transaction results in an account with insufficient funds for rent",
  SignatureFailure: "Transaction did not pass signature verification",
};

const inWords = (name: string): string => sentences[name] ?? name.replaceAll(/(?<=[a-z])(?=[A-Z])/g, " ").toLowerCase();

/** The failure as a sentence, in the words that Solana's RPC puts after "Transaction simulation failed: ". */
export function describeTransactionError(error: TransactionError): string {
  if (typeof error === "string") return inWords(error);
  if ("InstructionError" in error) {
    const [index, cause] = error.InstructionError;
    const reason =
      typeof cause === "string"
        ? inWords(cause)
        : "Custom" in cause
          ? `custom program error: 0x${cause.Custom.toString(16)}`
          : `Failed to serialize or deserialize account data: ${cause.BorshIoError}`;
    return `Error processing Instruction ${index}: ${reason}`;
  }
  return inWords(Object.keys(error)[0] ?? "unknown error");
}

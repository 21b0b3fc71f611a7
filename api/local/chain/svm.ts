// The package's own wrapper brings a second @solana/kit with it; its binding takes and gives bytes and strings only,
// which is the one safe way across two versions of kit.
import * as binding from "litesvm/dist/internal.js";
import { decodeBase58, encodeBase58 } from "./bytes.ts";
import type { TransactionError } from "./transaction-error.ts";

export interface ChainAccount {
  lamports: bigint;
  data: Uint8Array;
  owner: string;
  executable: boolean;
}

export interface CompiledInstruction {
  programIdIndex: number;
  accounts: number[];
  data: Uint8Array;
  stackHeight: number;
}

export interface Execution {
  err: TransactionError | null;
  logs: string[];
  /** One list for each top-level instruction. */
  innerInstructions: CompiledInstruction[][];
  computeUnitsConsumed: number;
  returnData: { programId: string; data: Uint8Array } | null;
}

export interface Simulation extends Execution {
  postAccounts: Map<string, ChainAccount>;
}

const bytesOfAddress = decodeBase58;
const addressOfBytes = encodeBase58;

// The binding numbers these errors in the order of Rust's enums; the RPC names them.
const transactionErrorNames =
  `AccountInUse AccountLoadedTwice AccountNotFound ProgramAccountNotFound InsufficientFundsForFee InvalidAccountForFee
  AlreadyProcessed BlockhashNotFound CallChainTooDeep MissingSignatureForFee InvalidAccountIndex SignatureFailure
  InvalidProgramForExecution SanitizeFailure ClusterMaintenance AccountBorrowOutstanding WouldExceedMaxBlockCostLimit
  UnsupportedVersion InvalidWritableAccount WouldExceedMaxAccountCostLimit WouldExceedAccountDataBlockLimit
  TooManyAccountLocks AddressLookupTableNotFound InvalidAddressLookupTableOwner InvalidAddressLookupTableData
  InvalidAddressLookupTableIndex InvalidRentPayingAccount WouldExceedMaxVoteCostLimit WouldExceedAccountDataTotalLimit
  MaxLoadedAccountsDataSizeExceeded ResanitizationNeeded InvalidLoadedAccountsDataSizeLimit UnbalancedTransaction
  ProgramCacheHitMaxLimit CommitCancelled`.split(/\s+/);

const instructionErrorNames =
  `GenericError InvalidArgument InvalidInstructionData InvalidAccountData AccountDataTooSmall InsufficientFunds
  IncorrectProgramId MissingRequiredSignature AccountAlreadyInitialized UninitializedAccount UnbalancedInstruction
  ModifiedProgramId ExternalAccountLamportSpend ExternalAccountDataModified ReadonlyLamportChange ReadonlyDataModified
  DuplicateAccountIndex ExecutableModified RentEpochModified NotEnoughAccountKeys AccountDataSizeChanged
  AccountNotExecutable AccountBorrowFailed AccountBorrowOutstanding DuplicateAccountOutOfSync InvalidError
  ExecutableDataModified ExecutableLamportChange ExecutableAccountNotRentExempt UnsupportedProgramId CallDepth
  MissingAccount ReentrancyNotAllowed MaxSeedLengthExceeded InvalidSeeds InvalidRealloc ComputationalBudgetExceeded
  PrivilegeEscalation ProgramEnvironmentSetupFailure ProgramFailedToComplete ProgramFailedToCompile Immutable
  IncorrectAuthority AccountNotRentExempt InvalidAccountOwner ArithmeticOverflow UnsupportedSysvar IllegalOwner
  MaxAccountsDataAllocationsExceeded MaxAccountsExceeded MaxInstructionTraceLengthExceeded
  BuiltinProgramsMustConsumeComputeUnits BorshIoError`.split(/\s+/);

function toInstructionError(
  error: ReturnType<binding.TransactionErrorInstructionError["err"]>,
): string | { Custom: number } | { BorshIoError: string } {
  if (typeof error === "number") return instructionErrorNames[error] ?? "GenericError";
  return "code" in error ? { Custom: error.code } : { BorshIoError: error.msg };
}

function toTransactionError(error: ReturnType<binding.FailedTransactionMetadata["err"]>): TransactionError {
  if (typeof error === "number") return transactionErrorNames[error] ?? "SanitizeFailure";
  if (error instanceof binding.TransactionErrorInstructionError) {
    return { InstructionError: [error.index, toInstructionError(error.err())] };
  }
  if (error instanceof binding.TransactionErrorDuplicateInstruction) return { DuplicateInstruction: error.index };
  if (error instanceof binding.TransactionErrorInsufficientFundsForRent) {
    return { InsufficientFundsForRent: { account_index: error.accountIndex } };
  }
  return { ProgramExecutionTemporarilyRestricted: { account_index: error.accountIndex } };
}

function toExecution(meta: binding.TransactionMetadata, err: TransactionError | null): Execution {
  const returned = meta.returnData();
  return {
    err,
    logs: meta.logs(),
    innerInstructions: meta.innerInstructions().map((group) =>
      group.map((inner) => {
        const instruction = inner.instruction();
        return {
          programIdIndex: instruction.programIdIndex(),
          accounts: [...instruction.accounts()],
          data: Uint8Array.from(instruction.data()),
          stackHeight: inner.stackHeight(),
        };
      }),
    ),
    computeUnitsConsumed: Number(meta.computeUnitsConsumed()),
    returnData:
      returned.data().length === 0
        ? null
        : { programId: addressOfBytes(returned.programId()), data: Uint8Array.from(returned.data()) },
  };
}

const toChainAccount = (account: binding.Account): ChainAccount => ({
  lamports: account.lamports(),
  data: Uint8Array.from(account.data()),
  owner: addressOfBytes(account.owner()),
  executable: account.executable(),
});

/**
 * Solana's virtual machine with the programs that litesvm ships (System, SPL Token, Token-2022, Associated Token,
 * Memo, Address Lookup Table, Compute Budget): accounts and execution, no notion of blocks or confirmation.
 *
 * Whether a blockhash is recent and whether a transaction is a duplicate is the caller's to decide.
 */
export class Svm {
  readonly #inner: binding.LiteSvm;

  constructor(state?: Uint8Array) {
    this.#inner = state === undefined ? new binding.LiteSvm() : binding.LiteSvm.fromBytes(state);
    this.#inner.setSigverify(true);
    this.#inner.setBlockhashCheck(false);
    this.#inner.setTransactionHistory(0n);
  }

  account(address: string): ChainAccount | null {
    const account = this.#inner.getAccount(bytesOfAddress(address));
    // An account without lamports does not exist on Solana, whatever is left of its data.
    return account === null || account.lamports() === 0n ? null : toChainAccount(account);
  }

  /** Zero when there is no such account. */
  balance(address: string): bigint {
    return this.#inner.getBalance(bytesOfAddress(address)) ?? 0n;
  }

  setAccount(address: string, account: ChainAccount): void {
    const { lamports, data, owner, executable } = account;
    this.#inner.setAccount(
      bytesOfAddress(address),
      new binding.Account(lamports, data, bytesOfAddress(owner), executable, 0n),
    );
  }

  programAccounts(program: string): [address: string, account: ChainAccount][] {
    return this.#inner
      .getProgramAccounts(bytesOfAddress(program))
      .map((found) => [addressOfBytes(found.address), toChainAccount(found.account())]);
  }

  rentExemptLamports(dataLength: number): bigint {
    return this.#inner.minimumBalanceForRentExemption(BigInt(dataLength));
  }

  /** What programs see as the present: the clock and the recent slots' hashes, newest first. */
  setPresent(slot: number, unixTimeSeconds: number, slotHashes: { slot: number; hash: string }[]): void {
    const clock = this.#inner.getClock();
    clock.slot = BigInt(slot);
    clock.unixTimestamp = BigInt(unixTimeSeconds);
    this.#inner.setClock(clock);
    this.#inner.setSlotHashes(slotHashes.map(({ slot: past, hash }) => ({ slot: BigInt(past), hash })));
  }

  /**
   * Executes a transaction and keeps its effects. `wire` must have passed decodeTransaction: the binding aborts the
   * whole process on bytes that are not a transaction.
   */
  send(wire: Uint8Array): Execution {
    const result = this.#inner.sendVersionedTransaction(wire);
    return result instanceof binding.FailedTransactionMetadata
      ? toExecution(result.meta(), toTransactionError(result.err()))
      : toExecution(result, null);
  }

  /** Executes a transaction without keeping its effects; same precondition as `send`. */
  simulate(wire: Uint8Array, verifySignatures: boolean): Simulation {
    this.#inner.setSigverify(verifySignatures);
    try {
      const result = this.#inner.simulateVersionedTransaction(wire);
      if (result instanceof binding.FailedTransactionMetadata) {
        return { ...toExecution(result.meta(), toTransactionError(result.err())), postAccounts: new Map() };
      }
      const postAccounts = new Map(
        result.postAccounts().map((found) => [addressOfBytes(found.address), toChainAccount(found.account())]),
      );
      return { ...toExecution(result.meta(), null), postAccounts };
    } finally {
      this.#inner.setSigverify(true);
    }
  }

  toBytes(): Uint8Array {
    return Uint8Array.from(this.#inner.toBytes());
  }
}

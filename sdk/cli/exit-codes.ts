/**
 * How a run ends, for scripts. The numbers are those of sysexits.h and of the shell, which commands seldom use
 * themselves: `volley run` and `volley exec` otherwise end with the code of the command.
 */
import { ClusterEndedError } from "../cluster-handle.ts";
import { CommandFailedError } from "../command-output.ts";
import { APIError, ConnectionError, InvalidAnswerError, WaitTimeoutError } from "../errors.ts";
import { PaymentClosedError } from "../payments.ts";

export const EXIT = {
  ok: 0,
  /** The command line is wrong, or a field that it sends. */
  usage: 64,
  /** A receipt doesn't verify, or a file holds something else than it should. */
  data: 65,
  /** It doesn't exist, or this credential doesn't open it. */
  notFound: 66,
  /** Nobody rents out such a cluster now, or not at that price; or the quote is gone. */
  capacity: 69,
  /** A fault on Volley's side, or in this program. */
  internal: 70,
  /** The cluster ended before its time, or the command came to no regular end on it. */
  clusterFailed: 71,
  /** Paying failed, or the payment expired. */
  payment: 72,
  /** No answer. */
  network: 74,
  /** Waiting took too long, or there are too many requests: try later. */
  tryLater: 75,
  /** Refused for another reason; the message says which. */
  refused: 76,
  /** A credential is missing or wrong. */
  auth: 77,
} as const;

/** A failure that the command line itself finds. */
export class CliError extends Error {
  override name = "CliError";
  readonly exitCode: number;
  readonly nextAction: string | null;

  constructor(exitCode: number, message: string, nextAction: string | null = null) {
    super(message);
    this.exitCode = exitCode;
    this.nextAction = nextAction;
  }
}

const CAPACITY_CODES: ReadonlySet<string> = new Set([
  "capacity_gone",
  "gang_unavailable",
  "gang_impossible",
  "price_above_cap",
  "quote_expired",
  "quote_used",
  "unknown_gpu",
]);
const PAYMENT_CODES: ReadonlySet<string> = new Set(["rail_unavailable", "holds_exceeded", "payment_closed"]);
const CODE_BY_STATUS: Readonly<Record<number, number>> = {
  400: EXIT.usage,
  401: EXIT.auth,
  402: EXIT.payment,
  403: EXIT.auth,
  404: EXIT.notFound,
  408: EXIT.network,
  413: EXIT.usage,
  422: EXIT.usage,
  429: EXIT.tryLater,
  503: EXIT.tryLater,
};

function exitCodeOfApi({ code, status }: APIError): number {
  if (CAPACITY_CODES.has(code)) return EXIT.capacity;
  if (PAYMENT_CODES.has(code)) return EXIT.payment;
  return CODE_BY_STATUS[status] ?? (status >= 500 ? EXIT.internal : EXIT.refused);
}

/** That of the lowest rank that failed. */
function exitCodeOfCommand({ exits }: CommandFailedError): number {
  return exits.find(({ code }) => code !== 0)?.code ?? EXIT.clusterFailed;
}

export function exitCodeOf(error: unknown): number {
  if (error instanceof CliError) return error.exitCode;
  if (error instanceof APIError) return exitCodeOfApi(error);
  if (error instanceof CommandFailedError) return exitCodeOfCommand(error);
  if (error instanceof PaymentClosedError) return EXIT.payment;
  if (error instanceof ClusterEndedError) return EXIT.clusterFailed;
  if (error instanceof ConnectionError || error instanceof InvalidAnswerError) return EXIT.network;
  if (error instanceof WaitTimeoutError) return EXIT.tryLater;
  // By name, so that the part that signs is loaded only where something is signed.
  if (error instanceof Error && error.name === "SolanaPaymentError") return EXIT.payment;
  if (error instanceof Error && error.name === "ChallengeRefusedError") return EXIT.auth;
  return EXIT.internal;
}

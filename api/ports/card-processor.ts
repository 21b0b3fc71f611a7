/** Whoever takes cards for us, as far as top-ups need it. Amounts are whole minor units of a currency: cents. */

/** What a payer is to pay on the processor's page. All of it comes from our row, so that asking again asks the same. */
export interface CheckoutOrder {
  readonly paymentId: string;
  readonly amountMinor: bigint;
  readonly expiresAtMs: number;
  /** Where the payer's browser goes afterwards. It proves nothing. */
  readonly returnUrl: string;
}

/** A page on which a payment is made, and all that has become of its money. */
export interface CardState {
  readonly sessionId: string;
  /** The payment of ours that it was opened for; null when it isn't ours. */
  readonly paymentId: string | null;
  readonly url: string | null;
  /** `complete`: nothing more can be done on the page; whether money came is said by `paid` and `failed`. */
  readonly status: "open" | "complete" | "expired";
  readonly paid: boolean;
  readonly failed: boolean;
  readonly amountMinor: bigint;
  /** ISO 4217, lower case. */
  readonly currency: string;
  readonly paymentIntent: string | null;
  /** Sent back to the payer's card. */
  readonly refundedMinor: bigint;
  /** Disputed, and not decided. */
  readonly contestedMinor: bigint;
  /** Disputed, and decided for the payer. */
  readonly lostMinor: bigint;
  /** Of the newest dispute, or `lost` when any was; null when there never was one. */
  readonly disputeStatus: string | null;
}

/** What a signed notice was about: a payment of ours, or one that only the processor's id names. */
export interface CardNotice {
  readonly id: string;
  readonly type: string;
  readonly subject: string;
}

export interface CardProcessor {
  /** Opens the page, or finds the one that was opened for the payment before. */
  open(order: CheckoutOrder): Promise<CardState>;
  read(sessionId: string): Promise<CardState>;
  /** Closes the page to payers, unless it is closed already. */
  expire(sessionId: string): Promise<CardState>;
  /** Pages opened since then on which a payer has done all that can be done, some at a time. */
  completed(sinceMs: number): AsyncIterable<readonly CardState[]>;
  /** Which payment of ours the processor's payment belongs to; null: none. */
  paymentOf(paymentIntent: string): Promise<string | null>;
  /**
   * Checks a notice's signature and age. Null: it is theirs, and of no interest.
   * @throws {CardError} `signature`
   */
  verify(body: Uint8Array, signature: string, nowMs: number): Promise<CardNotice | null>;
}

/** `refused`: asking again is refused again. `down`: nothing is known, so ask again. `signature`: it isn't theirs. */
export type CardErrorKind = "refused" | "down" | "signature";

export class CardError extends Error {
  override readonly name = "CardError";
  readonly kind: CardErrorKind;

  constructor(kind: CardErrorKind, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.kind = kind;
  }
}

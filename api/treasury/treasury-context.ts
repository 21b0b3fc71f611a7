/** What the steps of the treasury receive: less than a verb gets, and a key that spends. */
import type { Caller, Services } from "../context.ts";
import type { Facilitator } from "../ports/facilitator.ts";
import type { SponsorSigner } from "../ports/sponsor-signer.ts";
import type { TreasurySigner } from "../ports/treasury-signer.ts";
import type { TreasurySettings } from "./treasury-settings.ts";

export interface TreasuryServices
  extends Pick<Services, "clock" | "random" | "db" | "chain" | "screening" | "logger" | "metrics" | "hints"> {
  readonly settings: TreasurySettings;
  readonly signer: TreasurySigner;
  /** Null where nobody's fees are paid, or somebody else pays them. */
  readonly sponsor: SponsorSigner | null;
  /** Whoever does, in the sponsor's place. */
  readonly facilitator: Facilitator | null;
}

export type TreasuryContext = TreasuryServices & Caller;

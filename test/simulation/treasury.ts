/** One incarnation of the treasury inside a simulated process of its own. */
import { runTaskLoop } from "../../api/jobs/loop.ts";
import type { SponsorSigner } from "../../api/ports/sponsor-signer.ts";
import type { TreasurySigner } from "../../api/ports/treasury-signer.ts";
import { ensureAnchors } from "../../api/treasury/anchor/anchor-receipts.ts";
import { TREASURY_HANDLERS } from "../../api/treasury/handlers.ts";
import type { TreasuryServices } from "../../api/treasury/treasury-context.ts";
import type { SimulatedProcess } from "./process.ts";
import { hintsFor, loggerFor, NO_METRICS, type Outside } from "./server.ts";

/** Works as the production process does. Never settles when the process is killed. */
export async function runTreasury(process: SimulatedProcess, outside: Outside): Promise<void> {
  const { clock, random } = process;
  const services: TreasuryServices = {
    clock,
    random,
    db: outside.database.openFor(process, outside.faults),
    chain: outside.chain.openFor(process, outside.faults),
    signer: signerFor(process, outside),
    screening: null,
    sponsor: sponsorFor(process, outside),
    facilitator: null,
    settings: outside.treasurySettings,
    logger: loggerFor(process, outside.onLog),
    metrics: NO_METRICS,
    hints: hintsFor(process, outside),
  };
  if (services.settings.anchors) await ensureAnchors(services.db, clock.nowMs());
  const options = { owner: process.name, handlers: TREASURY_HANDLERS };
  await runTaskLoop(services, options, new AbortController().signal);
}

function signerFor(process: SimulatedProcess, { signer, faults }: Outside): TreasurySigner {
  return {
    address: signer.address,
    signAnchor: (order) =>
      process.call("signer signAnchor", () => signer.signAnchor(order), {
        rates: { lostRequest: faults().signerUnavailable, lostResponse: 0 },
        lost: () => new Error("the signer is away"),
      }),
    signRefund: (order) =>
      process.call("signer signRefund", () => signer.signRefund(order), {
        rates: { lostRequest: faults().signerUnavailable, lostResponse: 0 },
        lost: () => new Error("the signer is away"),
      }),
  };
}

function sponsorFor(process: SimulatedProcess, { sponsor, faults }: Outside): SponsorSigner {
  return {
    address: sponsor.address,
    sign: (transactionBase64, order) =>
      process.call("sponsor sign", () => sponsor.sign(transactionBase64, order), {
        rates: { lostRequest: faults().signerUnavailable, lostResponse: 0 },
        lost: () => new Error("the sponsor's signer is away"),
      }),
  };
}

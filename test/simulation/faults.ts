/** How often each thing goes wrong. A rate is a probability per call unless it says otherwise. */
import type { ChainFaults } from "../../api/local/chain/faulty-transport.ts";

export interface Faults {
  /** The connection to the database breaks before a statement reaches it. */
  readonly sqlLostRequest: number;
  /** The statement was executed, a COMMIT included, and its answer is lost. */
  readonly sqlLostResponse: number;
  /** The database refuses a statement with 40001, 40P01, 53300 or 57014. */
  readonly sqlRefused: number;
  readonly chain: Partial<ChainFaults>;
  /** An RPC node that never answers, until the caller's timeout. */
  readonly chainHangs: number;
  readonly supplierLostRequest: number;
  readonly supplierLostResponse: number;
  /** The supplier answers with an error and has created the machine all the same. */
  readonly launchErrorButCreated: number;
  readonly observeLeavesOut: number;
  /** A success that changes nothing. */
  readonly terminateIgnored: number;
  /** Terminating what is gone is an error. */
  readonly terminateGoneFails: number;
  /** A machine that runs is told to be absent. */
  readonly liesAbsent: number;
  /** Per machine: not in the supplier's list yet, not to be terminated yet, slow, broken, or short-lived. */
  readonly unlistedAtFirst: number;
  readonly stubborn: number;
  readonly slowStart: number;
  readonly failsToStart: number;
  readonly dies: number;
  readonly failsLater: number;
  /** What a supplier tells may be seconds old. */
  readonly staleObservation: boolean;
  /** Per turn of an agent's loops. */
  readonly agentDies: number;
  readonly machineLosesPower: number;
  /** The signer's process is away. */
  readonly signerUnavailable: number;
  /** The card processor is called in vain, or its answer is lost. */
  readonly cardsLostRequest: number;
  readonly cardsLostResponse: number;
  /** It tells never of a payment, or twice of anything. */
  readonly noticeLost: number;
  readonly noticeDoubled: number;
  /** The renter's request never arrives, or arrives and its answer is lost, or it arrives twice. */
  readonly httpLostRequest: number;
  readonly httpLostResponse: number;
  readonly httpDuplicated: number;
  /** Any answer comes seconds later than usual. */
  readonly slowAnswer: number;
  /** A process is killed before or after a call of its own. */
  readonly crash: number;
  /** A process stands still for longer than its leases last, then goes on as if nothing had been. */
  readonly pause: number;
  /** The same in the moment before it calls a supplier, which is the worst one. */
  readonly pauseAtSupplier: number;
  /** Processes' clocks differ by up to twice as much. */
  readonly clockSkewMs: number;
}

export const NO_FAULTS: Faults = {
  sqlLostRequest: 0,
  sqlLostResponse: 0,
  sqlRefused: 0,
  chain: {},
  chainHangs: 0,
  supplierLostRequest: 0,
  supplierLostResponse: 0,
  launchErrorButCreated: 0,
  observeLeavesOut: 0,
  terminateIgnored: 0,
  terminateGoneFails: 0,
  liesAbsent: 0,
  unlistedAtFirst: 0,
  stubborn: 0,
  slowStart: 0,
  failsToStart: 0,
  dies: 0,
  failsLater: 0,
  staleObservation: false,
  agentDies: 0,
  machineLosesPower: 0,
  signerUnavailable: 0,
  cardsLostRequest: 0,
  cardsLostResponse: 0,
  noticeLost: 0,
  noticeDoubled: 0,
  httpLostRequest: 0,
  httpLostResponse: 0,
  httpDuplicated: 0,
  slowAnswer: 0,
  crash: 0,
  pause: 0,
  pauseAtSupplier: 0,
  clockSkewMs: 0,
};

/** A bad day: all of it at once, often enough that most rentals meet something. */
export const STORM: Faults = {
  sqlLostRequest: 0.004,
  sqlLostResponse: 0.004,
  sqlRefused: 0.004,
  chain: {
    droppedRequest: 0.03,
    droppedResponse: 0.03,
    duplicateDelivery: 0.02,
    rateLimit: 0.02,
    laggingNode: 0.1,
    maxLagSlots: 8,
    missingTransaction: 0.05,
    truncatedSignatures: 0.03,
    reorderedSignatures: 0.1,
    unsupportedVersion: 0.01,
    minContextSlot: 0.01,
  },
  chainHangs: 0.01,
  supplierLostRequest: 0.03,
  supplierLostResponse: 0.03,
  launchErrorButCreated: 0.05,
  observeLeavesOut: 0.03,
  terminateIgnored: 0.1,
  terminateGoneFails: 0.1,
  liesAbsent: 0.03,
  unlistedAtFirst: 0.1,
  stubborn: 0.03,
  slowStart: 0.08,
  failsToStart: 0.04,
  dies: 0.05,
  failsLater: 0.03,
  staleObservation: true,
  agentDies: 0.006,
  machineLosesPower: 0.002,
  signerUnavailable: 0.05,
  cardsLostRequest: 0.05,
  cardsLostResponse: 0.05,
  noticeLost: 0.2,
  noticeDoubled: 0.3,
  httpLostRequest: 0.03,
  httpLostResponse: 0.03,
  httpDuplicated: 0.03,
  slowAnswer: 0.004,
  crash: 0.002,
  pause: 0.0008,
  pauseAtSupplier: 0.01,
  clockSkewMs: 1_500,
};

/** The flows whose every call is hit once. Each is one rental by a renter with a fixed character. */
import type { Character } from "../simulation/renter.ts";

const PLAIN: Character = {
  gpu: "h100-sxm-80gb",
  nodes: 2,
  gpusPerNode: 1,
  durationSeconds: 60,
  paying: "exact",
  using: "tearsDownEarly",
  refundTo: "wallet",
  doubleClicks: false,
};

export const FLOWS: Readonly<Record<string, Character>> = {
  "reserve, pay, provision, extend, pay for it, tear down, refund": { ...PLAIN, using: "extendsThenTearsDown" },
  "run to the end, then ask for the credit of an overpayment": {
    ...PLAIN,
    nodes: 1,
    paying: "over",
    using: "untilEnd",
    refundTo: "creditThenRefund",
  },
  "tear down while the gang starts": { ...PLAIN, using: "tearsDownWhileStarting" },
  "top up, reserve from the balance, tear down, take the rest out": { ...PLAIN, nodes: 1, paying: "fromBalance" },
  "top up by card, reserve from the balance, tear down, take the rest out": { ...PLAIN, nodes: 1, paying: "fromCard" },
  "reserve and pay in one request by x402, tear down, refund": { ...PLAIN, nodes: 1, paying: "x402" },
  "pay too late, then ask for the credit": { ...PLAIN, nodes: 1, paying: "late", refundTo: "creditThenRefund" },
};

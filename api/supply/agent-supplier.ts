import type { Supplier } from "../ports/supplier.ts";

/**
 * The network's own machines. There is nobody to call: what should run stands in the leases, agents ask for it, and
 * what they report is stored there as it arrives. So nothing is left to do or to tell here.
 */
export function agentSupplier(): Supplier {
  return {
    launch: async () => undefined,
    terminate: async () => undefined,
    observe: async () => [],
  };
}

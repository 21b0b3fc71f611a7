import type { InputOf } from "@volley/schema/operation";
import type { Operations } from "@volley/schema/operations/index";

/** What a renter asks for, in the contract's own fields; `gpu` is a slug by now. */
export type Wish = InputOf<Operations["quotes.create"]>;

/** The fields that narrow the choice of machines and may be left out. */
export const CONSTRAINTS = [
  "max_rtt_ms",
  "interconnect",
  "min_reliability",
  "isolation",
  "supplier_class",
  "regions",
  "countries",
  "min_cpu_cores",
  "min_memory_gib",
  "min_disk_gib",
  "max_price_per_gpu_hour",
] as const satisfies readonly (keyof Wish)[];

export type Constraint = (typeof CONSTRAINTS)[number];

/** The same wish without these constraints. */
export function withoutConstraints(wish: Wish, dropped: readonly Constraint[]): Wish {
  const relaxed = { ...wish };
  for (const constraint of dropped) delete relaxed[constraint];
  return relaxed;
}

/** `npm run bench`: speed, side by side with a floor or a peer that runs in the same rounds. */
import { printRows } from "./row.ts";

const BENCHES = {
  search: async () => (await import("./quote-search.ts")).benchQuoteSearch(),
  http: async () => (await import("./http.ts")).benchHttp(),
  memory: async () => (await import("./memory.ts")).benchMemory(),
  reservation: async () => (await import("./reservation.ts")).benchReservation(),
  settlement: async () => (await import("./settlement.ts")).benchSettlement(),
  ledger: async () => (await import("./ledger.ts")).benchLedger(),
  verifier: async () => (await import("./verifier.ts")).benchVerifier(),
} as const;

const names = Object.keys(BENCHES) as (keyof typeof BENCHES)[];
const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !names.some((known) => known === name));
if (unknown.length > 0) {
  console.error(`There is no bench "${unknown.join(", ")}". There are: ${names.join(", ")}.`);
  process.exit(1);
}
const rows = [];
for (const name of names) {
  if (asked.length > 0 && !asked.includes(name)) continue;
  console.log(`measuring: ${name}`);
  rows.push(...(await BENCHES[name]()));
}
console.log(`\n${printRows(rows)}`);

/** Prints a token with which one machine joins, once: `npm run enrolment-token -- --supplier "Alice" --payout-address …`. */
import { parseArgs } from "node:util";
import { isAddress } from "@solana/kit";
import { SUPPLIER_CLASSES, type SupplierClass } from "@volley/schema/resources/market";
import { strongRandom } from "../adapters/strong-random.ts";
import { systemClock } from "../adapters/system-clock.ts";
import { openDatabase } from "../db/database.ts";
import { issueEnrolmentToken } from "../supply/issue-enrolment-token.ts";

const USAGE = `npm run enrolment-token -- --supplier <name> [options]

  --class <class>              ${SUPPLIER_CLASSES.join(" or ")}; network when absent
  --payout-address <address>   Solana wallet that gets the supplier's earnings
  --lifetime-seconds <n>       how long the token can be used; 3600 when absent

DATABASE_URL names the database.`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      supplier: { type: "string" },
      class: { type: "string", default: "network" },
      "payout-address": { type: "string" },
      "lifetime-seconds": { type: "string", default: "3600" },
    },
  });
  const { supplier, class: supplierClass, "payout-address": payoutAddress } = values;
  const lifetimeSeconds = Number(values["lifetime-seconds"]);
  const databaseUrl = process.env.DATABASE_URL;
  if (!supplier) throw new Error("--supplier: is missing");
  if (!SUPPLIER_CLASSES.some((known) => known === supplierClass))
    throw new Error(`--class: there is no ${supplierClass}`);
  if (payoutAddress !== undefined && !isAddress(payoutAddress)) throw new Error("--payout-address: is no address");
  if (!Number.isInteger(lifetimeSeconds) || lifetimeSeconds < 1) throw new Error("--lifetime-seconds: is no number");
  if (!databaseUrl) throw new Error("DATABASE_URL: is not set");
  const db = openDatabase(databaseUrl, { connectionsMax: 1 });
  try {
    const services = { clock: systemClock, random: strongRandom(), db };
    const { token } = await issueEnrolmentToken(services, {
      supplierName: supplier,
      supplierClass: supplierClass as SupplierClass,
      payoutAddress,
      lifetimeSeconds,
    });
    console.log(token);
  } finally {
    await db.$client.end({ timeout: 5 });
  }
}

try {
  await main();
} catch (error) {
  console.error(`${error instanceof Error ? error.message : error}\n\n${USAGE}`);
  process.exitCode = 64;
}

/** A database of its own for a test file. */
import { randomBytes } from "node:crypto";
import postgres from "postgres";
import { inject } from "vitest";
import { type Database, openDatabase } from "../../api/db/database.ts";

export interface TestDatabase {
  readonly url: string;
  readonly db: Database;
  close(): Promise<void>;
}

/** Copies the migrated template; closes and drops it with `close()`. */
export async function createTestDatabase(connectionsMax = 10): Promise<TestDatabase> {
  const base = inject("postgresUrl");
  const name = `test_${randomBytes(6).toString("hex")}`;
  const admin = postgres(`${base}/postgres`, { max: 1, onnotice: () => undefined });
  // Only one session at a time may copy a template.
  await admin`SELECT pg_advisory_lock(hashtext('volley-template'))`;
  await admin.unsafe(`CREATE DATABASE ${name} TEMPLATE volley_template`);
  await admin.end();
  const db = openDatabase(`${base}/${name}`, { connectionsMax });
  return {
    url: `${base}/${name}`,
    db,
    async close() {
      await db.$client.end({ timeout: 2 });
      const dropper = postgres(`${base}/postgres`, { max: 1, onnotice: () => undefined });
      await dropper.unsafe(`DROP DATABASE ${name} WITH (FORCE)`);
      await dropper.end();
    },
  };
}

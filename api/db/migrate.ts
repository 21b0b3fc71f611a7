/** Brings a database to the current schema: drizzle's migrations, then the SQL functions, which are replaced whole. */
import { readdir, readFile } from "node:fs/promises";
import { drizzle } from "drizzle-orm/postgres-js";
import { migrate } from "drizzle-orm/postgres-js/migrator";
import postgres from "postgres";

const here = new URL(".", import.meta.url);

/** Safe to run from several processes at once: an advisory lock lets one at a time through. */
export async function migrateDatabase(url: string): Promise<void> {
  const client = postgres(url, { max: 1, onnotice: () => undefined, connect_timeout: 10 });
  try {
    await client`SELECT pg_advisory_lock(hashtext('volley-migrate'))`;
    await migrate(drizzle(client), { migrationsFolder: new URL("migrations", here).pathname });
    const folder = new URL("functions/", here);
    for (const name of (await readdir(folder)).sort()) {
      await client.unsafe(await readFile(new URL(name, folder), "utf8"));
    }
  } finally {
    await client.end({ timeout: 5 });
  }
}

/** Brings the database at DATABASE_URL to the current schema; to be run before a new version is deployed. */
import { migrateDatabase } from "../db/migrate.ts";

const url = process.env.DATABASE_URL;
if (url === undefined || url === "") {
  console.error("DATABASE_URL: is not set. Set it to a URL such as postgres://user:password@host:5432/volley.");
  process.exit(1);
}
await migrateDatabase(url);
console.log("The database is up to date.");

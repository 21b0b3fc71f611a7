/** One Postgres for the whole run; each test file takes a fresh copy of a migrated template. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import postgres from "postgres";
import type { TestProject } from "vitest/node";
import { migrateDatabase } from "../../api/db/migrate.ts";
import { startEmbeddedPostgres } from "../../api/local/postgres.ts";
import { mutateDatabase } from "../mutants/mutate-database.ts";

declare module "vitest" {
  interface ProvidedContext {
    postgresUrl: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), "volley-test-"));
  const server = await startEmbeddedPostgres(folder, {
    flags: "-c fsync=off -c full_page_writes=off -c synchronous_commit=off",
  });
  const base = server.url.slice(0, server.url.lastIndexOf("/"));
  const admin = postgres(`${base}/postgres`, { max: 1, onnotice: () => undefined });
  await admin.unsafe("CREATE DATABASE volley_template");
  await migrateDatabase(`${base}/volley_template`);
  await mutateDatabase(`${base}/volley_template`);
  await admin.end();
  project.provide("postgresUrl", base);
  return async () => {
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  };
}

import postgres from "postgres";
import { mutantOfRun, mutated } from "./mutant.ts";

/** Takes from the migrated database what this run's mutant is without; does nothing in usual runs. */
export async function mutateDatabase(url: string): Promise<void> {
  const mutant = mutantOfRun();
  if (mutant === null) return;
  const database = postgres(url, { max: 1, onnotice: () => undefined });
  for (const statement of mutant.sql ?? []) await database.unsafe(statement);
  for (const replacement of mutant.functions ?? []) {
    const [found] = await database<{ text: string }[]>`
      SELECT pg_get_functiondef(oid) AS text FROM pg_proc WHERE proname = ${replacement.in}`;
    await database.unsafe(mutated(found?.text ?? "", replacement));
  }
  await database.end();
}

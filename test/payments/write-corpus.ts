/** `npm run corpus`: writes docs/payments-corpus.md. */
import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { renderCorpus, runCorpus } from "./run-corpus.ts";

const file = fileURLToPath(new URL("../../docs/payments-corpus.md", import.meta.url));
await writeFile(file, renderCorpus(await runCorpus()));
console.log(`written: ${file}`);

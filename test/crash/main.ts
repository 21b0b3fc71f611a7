/** `npm run sweep`: every call of every flow, struck before and after. Exits with 1 when a rule was broken. */
import { runSweep } from "./run-sweep.ts";

const startedMs = performance.now();
const { strokes, broken } = await runSweep(1, (line) => console.log(line));
for (const each of broken) console.log(`\nBROKEN ${JSON.stringify(each, null, 2)}`);
const seconds = ((performance.now() - startedMs) / 1000).toFixed(0);
console.log(`\n${strokes} points struck, ${broken.length} with violations, ${seconds} s`);
process.exitCode = broken.length === 0 ? 0 : 1;

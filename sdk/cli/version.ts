import { readFileSync } from "node:fs";

/** Of the package: its manifest lies beside the folder of this program, in a checkout as in the package. */
export const VERSION: string = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")).version;

import jsQr from "jsqr";
import { expect, test } from "vitest";
import { qrText } from "../../sdk/cli/qr.ts";
import { fakeApi } from "../sdk/fake-api.ts";
import { homeFolder, volley } from "./terminal.ts";

const URL_OF_PAYMENT =
  "solana:7EcDhSYGxXyscszYEp35KHN8vvw3svAuLKTzXwCFLtV?amount=12.500001&spl-token=EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v&reference=82ZJ7nbGpixjeDCmEhUcmwXYfvurzAgGdtSMuHnUgyny&label=Volley&message=Cluster%20cl_01&memo=pay_01jd";
const PIXELS_PER_MODULE = 4;
const INK: Readonly<Record<string, readonly [boolean, boolean]>> = {
  "█": [true, true],
  "▀": [true, false],
  "▄": [false, true],
  " ": [false, false],
};

/** What a camera sees of the text, on a terminal that is dark unless the text says otherwise. */
function decode(shown: string): string | undefined {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are set with them
  const isColoured = /\u001b/.test(shown);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are set with them
  const lines = shown.replaceAll(/\u001b\[[0-9;]*m/g, "").split("\n");
  const rows = lines.flatMap((line) => {
    const cells = [...line].map((character) => INK[character] ?? [false, false]);
    return [cells.map(([upper]) => upper), cells.map(([, lower]) => lower)];
  });
  const width = (rows[0]?.length ?? 0) * PIXELS_PER_MODULE;
  const height = rows.length * PIXELS_PER_MODULE;
  const pixels = new Uint8ClampedArray(width * height * 4).fill(255);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const isInk = rows[Math.floor(y / PIXELS_PER_MODULE)]?.[Math.floor(x / PIXELS_PER_MODULE)] ?? false;
      pixels.fill(isInk === isColoured ? 0 : 255, (y * width + x) * 4, (y * width + x) * 4 + 3);
    }
  }
  return (jsQr as unknown as typeof jsQr.default)(pixels, width, height, { inversionAttempts: "dontInvert" })?.data;
}

test.each([true, false])("the code on the terminal reads as the payment's URL (colours: %s)", (hasColours) => {
  expect(decode(qrText(URL_OF_PAYMENT, hasColours))).toBe(URL_OF_PAYMENT);
});

test.each([
  [{}, true],
  [{ NO_COLOR: "1" }, false],
])("`volley pay` shows it beside the URL; NO_COLOR is kept", async (env, isColoured) => {
  const { code, stderr } = await volley(fakeApi(), ["pay", URL_OF_PAYMENT], {
    home: await homeFolder(),
    isErrTty: true,
    env,
  });
  const lines = stderr.trimEnd().split("\n");
  expect(code).toBe(0);
  expect(lines.at(-1)).toBe(URL_OF_PAYMENT);
  expect(decode(lines.slice(0, -1).join("\n"))).toBe(URL_OF_PAYMENT);
  expect(stderr.includes("\u001b")).toBe(isColoured);
});

test("where nobody looks there is the URL alone", async () => {
  const { stderr } = await volley(fakeApi(), ["pay", URL_OF_PAYMENT], { home: await homeFolder() });
  expect(stderr).toBe(`${URL_OF_PAYMENT}\n`);
});

/** A QR code as text: two modules to a character, one above the other. */
import { encode } from "uqr";

/** The specification of QR codes asks for a margin of four modules. */
const MARGIN = 4;
/** Black on white, whatever the terminal's own colours are. */
const BLACK_ON_WHITE = "\u001b[38;5;16;48;5;231m";
const RESET = "\u001b[0m";

/** With colours, ink is what is dark. Without, the terminal is taken to be dark, and ink is what is light. */
export function qrText(text: string, hasColours: boolean): string {
  const { data, size } = encode(text, { ecc: "L", border: MARGIN });
  const isInk = (row: number, column: number) => (data[row]?.[column] ?? false) === hasColours;
  const lines: string[] = [];
  for (let row = 0; row < size; row += 2) {
    const characters = Array.from({ length: size }, (_, column) => {
      const isUpper = isInk(row, column);
      const isLower = row + 1 < size ? isInk(row + 1, column) : !hasColours;
      if (isUpper) return isLower ? "█" : "▀";
      return isLower ? "▄" : " ";
    }).join("");
    lines.push(hasColours ? `${BLACK_ON_WHITE}${characters}${RESET}` : characters);
  }
  return lines.join("\n");
}

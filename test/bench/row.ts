/** One line of the table that `npm run bench` prints. Figures are medians over interleaved rounds, with their range. */
export interface BenchRow {
  /** What was measured, such as "quote search p50, 190,000 nodes". */
  readonly subject: string;
  readonly ours: string;
  /** The floor or peer that ran in the same rounds. */
  readonly peer: string;
  readonly ratio: string;
  readonly goal: string;
  readonly met: boolean;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** "median (min–max)" of a figure over the rounds. */
export function spread(values: readonly number[], print: (value: number) => string = (v) => v.toFixed(0)): string {
  return `${print(median(values))} (${print(Math.min(...values))}–${print(Math.max(...values))})`;
}

export function printRows(rows: readonly BenchRow[]): string {
  const header = ["subject", "ours", "floor or peer", "ratio", "goal", "met"];
  const cells = [header, ...rows.map((r) => [r.subject, r.ours, r.peer, r.ratio, r.goal, r.met ? "yes" : "no"])];
  const widths = header.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  return cells.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ")).join("\n");
}

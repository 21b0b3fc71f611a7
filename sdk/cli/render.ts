/** Text for people. */
import { snakeCase } from "@volley/schema/casing";
import type { Cluster, Money, Quote } from "../generated.ts";
import { printable } from "./terminal.ts";

const COLUMNS_MAX = 8;
const ABSENT = "-";

/** What shows of a resource in a table; others show their first plain fields. */
const COLUMNS: Readonly<Record<string, readonly string[]>> = {
  gpu: ["gpu", "name", "vramGib", "gpusAvailable", "gpusTotal", "pricePerGpuHourMin", "pricePerGpuHourMax"],
  offer: ["nodeId", "gpu", "gpusAvailable", "pricePerGpuHour", "country", "interconnect", "reliability", "isolation"],
  cluster: ["id", "status", "gpu", "gpusPerNode", "nodes", "total", "endsAt", "name"],
  payment: ["id", "purpose", "rail", "status", "amount", "received", "createdAt"],
};

function isMoney(value: unknown): value is Money {
  return typeof value === "object" && value !== null && "amount" in value && "currency" in value;
}

/** At least two places, and no more than it takes. */
export function moneyText({ amount, currency }: Money): string {
  return `${amount.replace(/(\.\d\d\d*?)0+$/, "$1")} ${currency}`;
}

function cell(value: unknown): string {
  if (value === null || value === undefined || value === "") return ABSENT;
  if (isMoney(value)) return moneyText(value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value)) {
    return value.every((item) => typeof item !== "object")
      ? printable(value.join(", ")) || ABSENT
      : String(value.length);
  }
  return printable(typeof value === "object" ? JSON.stringify(value) : String(value));
}

export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((title, index) => Math.max(title.length, ...rows.map((row) => row[index]?.length ?? 0)));
  const line = (cells: readonly string[]) =>
    cells
      .map((text, index) => text.padEnd(widths[index] ?? 0))
      .join("  ")
      .trimEnd();
  return [header, ...rows].map(line).join("\n");
}

type Row = Readonly<Record<string, unknown>>;

function isPlain(value: unknown): boolean {
  return value === null || typeof value !== "object" || isMoney(value);
}

function columnsOf(rows: readonly Row[]): readonly string[] {
  const first = rows[0] ?? {};
  const known = COLUMNS[String(first.object)];
  if (known !== undefined) return known;
  return Object.keys(first)
    .filter((name) => name !== "object" && isPlain(first[name]))
    .slice(0, COLUMNS_MAX);
}

function title(name: string): string {
  return snakeCase(name).replaceAll("_", " ").toUpperCase();
}

export function rowsText(rows: readonly Row[]): string {
  if (rows.length === 0) return "Nothing here.";
  const columns = columnsOf(rows);
  return table(
    columns.map(title),
    rows.map((row) => columns.map((name) => cell(row[name]))),
  );
}

function fieldLines(value: Row, indent: string): string[] {
  return Object.entries(value)
    .filter(([name]) => name !== "object")
    .flatMap(([name, item]) => {
      const label = `${indent}${snakeCase(name).replaceAll("_", " ")}`;
      if (Array.isArray(item) && item.length > 0 && item.every((one) => typeof one === "object" && one !== null)) {
        const lines = rowsText(item).split("\n");
        return [`${label}:`, ...lines.map((line) => `${indent}  ${line}`)];
      }
      if (!isPlain(item) && !Array.isArray(item) && Object.keys(item as Row).length > 0) {
        return [`${label}:`, ...fieldLines(item as Row, `${indent}  `)];
      }
      return [`${label}: ${cell(!isPlain(item) && !Array.isArray(item) ? null : item)}`];
    });
}

/** One resource, a field to a line. */
export function resourceText(value: unknown): string {
  return typeof value === "object" && value !== null ? fieldLines(value as Row, "").join("\n") : cell(value);
}

export function quoteText(quote: Quote): string {
  const lines = quote.lines.map(({ description, amount }) => [printable(description), moneyText(amount)]);
  return [
    `${quote.nodes} × ${quote.gpusPerNode} ${quote.gpu}, ${quote.durationSeconds / 60} minutes, ${moneyText(quote.pricePerGpuHour)} per GPU and hour`,
    table(["", ""], [...lines, ["total", moneyText(quote.total)]]).trimStart(),
    `Holds until ${quote.expiresAt}.`,
  ].join("\n");
}

export function billText(cluster: Cluster): string {
  const { bill } = cluster;
  if (bill === null) return `${cluster.id} is ${cluster.status}; nothing was charged.`;
  const { refund } = bill;
  const rest = /^0\.0*$/.test(refund.amount.amount)
    ? "nothing is left over"
    : `${moneyText(refund.amount)} go back (${printable(refund.to)}, ${refund.status})`;
  return `${cluster.id} is ${cluster.status}: ${moneyText(bill.charged)} of ${moneyText(bill.paid)} charged, ${rest}.`;
}

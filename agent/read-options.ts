import { resolve } from "node:path";
import { parseArgs } from "node:util";
import type { Site } from "./enrol.ts";

/** What the command line says. */
export interface CommandLine {
  readonly apiUrl: string;
  readonly enrolmentToken: string | null;
  readonly dataDirectory: string;
  readonly cpuSlots: number;
  readonly pricePerGpuHour: string | null;
  readonly site: Site | null;
  readonly advertiseAddress: string | null;
  readonly runtime: "auto" | "container" | "process";
  readonly stopWorkloads: boolean;
}

export const usage = `Offers this machine on the Volley network.

node agent/main.ts --api URL --data-dir DIR [options]

To join, once:
  --token TOKEN              single-use enrolment token, or VOLLEY_ENROLMENT_TOKEN
  --price-per-gpu-hour USDC  such as 1.25; for a machine without a GPU the price of a slot
  --country CC               such as DE
  --region NAME              such as frankfurt
  --latitude DEGREES --longitude DEGREES
  --advertise-address IP     where ranks on other machines reach this one

Always:
  --api URL                  the API, or VOLLEY_API_URL
  --data-dir DIR             keeps the machine's key and state; one agent per directory
  --slots N                  slots of a machine without a GPU (default 1)
  --runtime auto|container|process
                             auto takes containers where Docker or Podman works (default)
  --stop-workloads           end the workloads when the agent stops
`;

/** The command line was wrong; the message says what and how to set it right. */
export class OptionsError extends Error {
  override readonly name = "OptionsError";
}

/**
 * Reads the command line; the environment may hold what should not be seen in a list of processes.
 * @throws OptionsError
 */
export function readOptions(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): CommandLine {
  const values = parse(args);
  const apiUrl = values.api ?? environment.VOLLEY_API_URL;
  if (apiUrl === undefined || !URL.canParse(apiUrl) || !/^https?:/.test(apiUrl)) {
    throw new OptionsError("--api needs the URL of the API, such as https://api.example.com.");
  }
  if (values["data-dir"] === undefined || values["data-dir"] === "") {
    throw new OptionsError("--data-dir needs a directory in which the machine's key and state are kept.");
  }
  const price = values["price-per-gpu-hour"] ?? null;
  if (price !== null && !/^\d{1,6}(\.\d{1,6})?$/.test(price)) {
    throw new OptionsError("--price-per-gpu-hour needs an amount of USDC with at most six places, such as 1.25.");
  }
  return {
    apiUrl,
    enrolmentToken: values.token ?? environment.VOLLEY_ENROLMENT_TOKEN ?? null,
    dataDirectory: resolve(values["data-dir"]),
    cpuSlots: readSlots(values.slots),
    pricePerGpuHour: price,
    site: readSite(values),
    advertiseAddress: values["advertise-address"] ?? null,
    runtime: readRuntime(values.runtime),
    stopWorkloads: values["stop-workloads"] ?? false,
  };
}

function parse(args: readonly string[]) {
  const text = { type: "string" } as const;
  const options = {
    api: text,
    token: text,
    "data-dir": text,
    slots: text,
    "price-per-gpu-hour": text,
    country: text,
    region: text,
    latitude: text,
    longitude: text,
    "advertise-address": text,
    runtime: text,
    "stop-workloads": { type: "boolean" },
  } as const;
  try {
    return parseArgs({ args: [...args], options, allowNegative: false, strict: true }).values;
  } catch (error) {
    throw new OptionsError(error instanceof Error ? error.message : String(error));
  }
}

function readSlots(text: string | undefined): number {
  const slots = Number(text ?? "1");
  if (!Number.isInteger(slots) || slots < 1 || slots > 64) {
    throw new OptionsError("--slots needs a whole number from 1 to 64.");
  }
  return slots;
}

function readRuntime(text: string | undefined): CommandLine["runtime"] {
  if (text === undefined || text === "auto" || text === "container" || text === "process") {
    return text ?? "auto";
  }
  throw new OptionsError("--runtime is auto, container or process.");
}

function readSite(values: Readonly<Record<string, string | boolean | undefined>>): Site | null {
  const { country, region, latitude, longitude } = values;
  if (country === undefined && region === undefined && latitude === undefined && longitude === undefined) {
    return null;
  }
  if (typeof country !== "string" || !/^[A-Z]{2}$/.test(country)) {
    throw new OptionsError("--country needs a code of two capital letters, such as DE.");
  }
  if (typeof region !== "string" || region === "" || region.length > 64) {
    throw new OptionsError("--region needs a name of at most 64 characters.");
  }
  return {
    country,
    region,
    latitude: readDegrees("--latitude", latitude, 90),
    longitude: readDegrees("--longitude", longitude, 180),
  };
}

function readDegrees(name: string, text: string | boolean | undefined, most: number): number {
  const degrees = typeof text === "string" && /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isNaN(degrees) || Math.abs(degrees) > most) {
    throw new OptionsError(`${name} needs degrees from -${most} to ${most}.`);
  }
  return degrees;
}

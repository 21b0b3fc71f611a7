import { readdirSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { METRICS } from "../../api/metrics.ts";
import { readSettings, SettingsError } from "../../api/settings.ts";
import { TEST_ENVIRONMENT } from "../faces/fake-app.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const read = (path: string) => readFile(`${root}/${path}`, "utf8");

test("every setting is described, and everything described is a setting", async () => {
  const sources = await Promise.all(["api/settings.ts", "api/treasury/treasury-settings.ts"].map(read));
  const names = sources.flatMap((source) => {
    const [, schema = ""] = /const \w*ettingsSchema = z\.object\(\{(.*?)\n\}\);/s.exec(source) ?? [];
    const found = [...schema.matchAll(/^ {2}([A-Z_]+):/gm)].map((match) => match[1] ?? "");
    expect(found.length).toBeGreaterThan(3);
    return found;
  });
  expect(names.length).toBeGreaterThan(15);
  const shared = new Set(["SOLANA_RPC_URL", "SOLANA_NETWORK", "USDC_MINT"]);
  const variables = names.map((name) => (shared.has(name) ? name : `VOLLEY_${name}`));
  const described = [...(await read("docs/configuration.md")).matchAll(/^\| `([A-Z_]+)`/gm)].map((match) => match[1]);
  for (const variable of variables) expect(described).toContain(variable);
  const ofProcesses = ["DATABASE_URL", "VOLLEY_LOG_LEVEL", "PORT"];
  expect(described.filter((variable) => !variables.includes(variable ?? "")).sort()).toEqual(ofProcesses.sort());
});

test("a wrong setting is named, with the fix", () => {
  const { SOLANA_RPC_URL: _, ...missing } = TEST_ENVIRONMENT;
  expect(() => readSettings({ ...missing, VOLLEY_PLATFORM_FEE_BPS: "x", VOLLEY_SECRET_KEY: "short" })).toThrow(
    SettingsError,
  );
  try {
    readSettings({ ...missing, VOLLEY_PLATFORM_FEE_BPS: "x", VOLLEY_SECRET_KEY: "short" });
  } catch (error) {
    const text = error instanceof Error ? error.message : "";
    expect(text).toContain("SOLANA_RPC_URL: is not set");
    expect(text).toContain("VOLLEY_PLATFORM_FEE_BPS: must be a whole number from 0 to 10000");
    expect(text).toContain("VOLLEY_SECRET_KEY: must be at least 32 random bytes in base64url");
    expect(text).toContain("docs/configuration.md");
    expect(text).not.toContain("short");
  }
});

test("a URL that is none is named, with an example", () => {
  expect(() => readSettings({ ...TEST_ENVIRONMENT, SOLANA_RPC_URL: "foo" })).toThrow(
    /^SOLANA_RPC_URL: must be a URL such as https:/m,
  );
});

test("every metric that is counted is declared, and every one declared is counted", () => {
  const files = readdirSync(`${root}/api`, { recursive: true, encoding: "utf8" }).filter((file) =>
    file.endsWith(".ts"),
  );
  const texts = files
    .filter((file) => !file.includes("node_modules"))
    .map((file) => readFileSync(`${root}/api/${file}`, "utf8"));
  const counted = texts.flatMap((text) =>
    [...text.matchAll(/\.(?:count|gauge|observe)\(\s*"(volley_[a-z_]+)"/g)].map((match) => match[1]),
  );
  expect([...new Set(counted)].sort()).toEqual(Object.keys(METRICS).sort());
});

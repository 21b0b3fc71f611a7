/** All faces offer the same operations, and the derived files say what the registry says. */
import { spawnSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { ERRORS, OPERATIONS, type OperationId } from "@volley/schema";
import type { Operation } from "@volley/schema/operation";
import { Volley } from "@volley/sdk";
import { buildSchema } from "graphql";
import { expect, test } from "vitest";
import { DOMAIN } from "../../api/domain.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const read = (path: string) => readFile(`${root}/${path}`, "utf8");
const operations: readonly Operation[] = Object.values(OPERATIONS);
const ids = operations.map((operation) => operation.id).sort();

interface Described {
  readonly operationId: string;
  readonly responses: Record<string, { readonly description: string }>;
}

test("the derived files are up to date", () => {
  const { status, stderr } = spawnSync(process.execPath, ["api/faces/generate.ts", "--check"], {
    cwd: root,
    encoding: "utf8",
  });
  expect(stderr).toBe("");
  expect(status).toBe(0);
});

test("REST: one path and method per operation, with every error that it can answer", async () => {
  const document = JSON.parse(await read("schema/openapi.json")) as {
    paths: Record<string, Record<string, Described>>;
  };
  const described = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  );
  expect(described.map(({ operation }) => operation.operationId).sort()).toEqual(ids);
  for (const { path, method, operation } of described) {
    const declared: Operation = OPERATIONS[operation.operationId as OperationId];
    expect([method, path]).toEqual([declared.method, declared.path]);
    for (const code of declared.errors) {
      expect(operation.responses[String(ERRORS[code].status)]?.description).toContain(`\`${code}\``);
    }
  }
});

test("GraphQL: one root field per operation", async () => {
  const schema = buildSchema(await read("schema/schema.graphql"));
  const roots = {
    query: schema.getQueryType(),
    mutation: schema.getMutationType(),
    subscription: schema.getSubscriptionType(),
  };
  const fields = Object.entries(roots).flatMap(([kind, type]) =>
    Object.keys(type?.getFields() ?? {}).map((field) => `${kind} ${field}`),
  );
  expect(fields.sort()).toEqual(operations.map(({ graphql }) => `${graphql.kind} ${graphql.field}`).sort());
});

test("SDK: one method per operation", () => {
  const client = new Volley({ baseUrl: "http://127.0.0.1:1" }) as unknown as Record<string, Record<string, unknown>>;
  for (const id of ids) {
    const [resource = "", verb = ""] = id.split(".");
    expect(client[resource]?.[verb], id).toBeTypeOf("function");
  }
});

test("every operation has a verb; those that stream are those that declare it", () => {
  expect(Object.keys(DOMAIN.verbs).sort()).toEqual(ids);
  const generators = Object.entries(DOMAIN.verbs).filter(
    ([, verb]) => verb.constructor.name === "AsyncGeneratorFunction",
  );
  const streams = operations.filter((operation) => operation.stream !== undefined).map((operation) => operation.id);
  expect(generators.map(([id]) => id).sort()).toEqual(streams.sort());
});

test("names are said once: ids, paths and fields are unique, and errors are declared once", () => {
  const unique = (list: readonly string[]) => expect(new Set(list).size).toBe(list.length);
  unique(ids);
  unique(operations.map(({ method, path }) => `${method} ${path}`));
  unique(operations.map(({ graphql }) => graphql.field));
  for (const operation of operations) unique(operation.errors);
});

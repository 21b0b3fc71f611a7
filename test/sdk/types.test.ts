/** What the compiler must know of the SDK. A wrong line here fails `npm run types`. */

import { readFile } from "node:fs/promises";
import { describe, expect, expectTypeOf, test } from "vitest";
import type {
  APIPromise,
  Cluster,
  ClusterHandle,
  ErrorCode,
  EventStream,
  Output,
  Page,
  PagePromise,
  Quote,
  RateLimitError,
  Volley,
} from "../../sdk/index.ts";
import { generate } from "../../sdk/scripts/generate.ts";

declare const volley: Volley;
const never = () => false;

describe("types", () => {
  test("of results", () => {
    if (never()) {
      expectTypeOf(volley.quotes.create({ gpu: "x", duration: "1h" })).toEqualTypeOf<APIPromise<Quote>>();
      expectTypeOf(volley.clusters.list()).toEqualTypeOf<PagePromise<Cluster>>();
      expectTypeOf(volley.clusters.logs("cl_1")).toEqualTypeOf<EventStream<Output>>();
      expectTypeOf(volley.clusters.reserve({ quoteToken: "t" })).resolves.toEqualTypeOf<ClusterHandle>();
      expectTypeOf<Awaited<ReturnType<Volley["gpus"]["list"]>>>().toExtend<Page<{ gpu: string }>>();
    }
  });

  test("of params", () => {
    if (never()) {
      // @ts-expect-error a quote needs a duration
      volley.quotes.create({ gpu: "x" });
      // @ts-expect-error seconds are a number
      volley.quotes.create({ gpu: "x", durationSeconds: "1h" });
      // @ts-expect-error not a field of the contract
      volley.quotes.create({ gpu: "x", duration: 60, gpuCount: 3 });
      // @ts-expect-error not a value of the contract
      volley.quotes.create({ gpu: "x", duration: 60, prefer: "luck" });
      // @ts-expect-error a quote or its token
      volley.clusters.reserve({});
      volley.quotes.create({ gpu: "x", duration: 60, countries: undefined });
      volley.clusters.exec("cl_1", { command: ["a"], timeout: "1m" });
    }
  });

  test("of answers admit values that this version does not know", () => {
    expectTypeOf<"running">().toExtend<Cluster["status"]>();
    expectTypeOf<"a_later_status">().toExtend<Cluster["status"]>();
    expectTypeOf<Cluster["bill"]>().extract<null>().toEqualTypeOf<null>();
    expectTypeOf<Cluster["readyAt"]>().toEqualTypeOf<string | null>();
    expectTypeOf<Cluster["metadata"]>().toEqualTypeOf<Record<string, string>>();
  });

  test("of errors name the codes of the contract", () => {
    expectTypeOf<"capacity_gone">().toExtend<ErrorCode>();
    expectTypeOf<RateLimitError["errors"][number]["pointer"]>().toBeString();
  });
});

test("the generated file is what the contract gives", async () => {
  expect(await readFile(new URL("../../sdk/generated.ts", import.meta.url), "utf8")).toBe(generate());
});

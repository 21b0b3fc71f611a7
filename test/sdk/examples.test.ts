/** The parts of the examples that can be wrong without a server. */
import { bigInt, assert as check, property } from "fast-check";
import { afterEach, describe, expect, test, vi } from "vitest";
import { withMarkUp } from "../../examples/embed/price.ts";
import { ask, subscribe } from "../../examples/graphql/graphql.ts";
import { formatUsdc, parseUsdc } from "../../schema/money.ts";
import { collect } from "./fake-api.ts";

describe("the shop's price", () => {
  test("is a fifth more, never less by rounding", () => {
    expect(withMarkUp("10.000000")).toBe("12.000000");
    expect(withMarkUp("0.000001")).toBe("0.000002");
    expect(withMarkUp("0.000000")).toBe("0.000000");
    check(
      property(bigInt({ min: 0n, max: 10n ** 15n }), (micro) => {
        const price = parseUsdc(withMarkUp(formatUsdc(micro)));
        expect(price * 100n >= micro * 120n && (price - 1n) * 100n < micro * 120n).toBe(true);
      }),
    );
  });
});

describe("GraphQL over fetch", () => {
  afterEach(() => {
    vi.unstubAllGlobals();
  });

  const answer = (body: string) => vi.stubGlobal("fetch", async () => new Response(body));
  const endpoint = { url: "http://volley.test/graphql" };

  test("gives the field that was asked for, or the error's code", async () => {
    answer('{"data":{"cluster":{"id":"cl_1"}}}');
    expect(await ask(endpoint, "")).toEqual({ id: "cl_1" });
    answer('{"errors":[{"message":"Gone.","extensions":{"code":"quote_expired"}}]}');
    await expect(ask(endpoint, "")).rejects.toThrow("quote_expired: Gone.");
  });

  test("gives each value of a subscription until it is complete", async () => {
    answer(
      ': open\n\nevent: next\ndata: {"data":{"x":1}}\n\nevent: next\ndata: {"data":{"x":2}}\n\nevent: complete\ndata:\n\nevent: next\ndata: {"data":{"x":3}}\n\n',
    );
    expect(await collect(subscribe(endpoint, "", {}))).toEqual([1, 2]);
    answer('event: next\ndata: {"errors":[{"message":"Ended.","extensions":{"code":"cluster_not_running"}}]}\n\n');
    await expect(collect(subscribe(endpoint, "", {}))).rejects.toThrow("cluster_not_running");
  });
});

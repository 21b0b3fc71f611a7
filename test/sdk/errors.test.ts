import { describe, expect, test } from "vitest";
import {
  APIError,
  AuthenticationError,
  BadRequestError,
  ConflictError,
  GoneError,
  InvalidAnswerError,
  NotFoundError,
  RateLimitError,
  ServerError,
  UnprocessableError,
  Volley,
  VolleyError,
} from "../../sdk/index.ts";
import { BASE_URL, fakeApi, json, problem } from "./fake-api.ts";

const call = (answer: ReturnType<typeof json>) =>
  new Volley({ baseUrl: BASE_URL, fetch: fakeApi(answer).fetch, maxRetries: 0 }).network.get();

describe("an error of the API", () => {
  test.each([
    [400, BadRequestError],
    [401, AuthenticationError],
    [404, NotFoundError],
    [409, ConflictError],
    [410, GoneError],
    [413, APIError],
    [422, UnprocessableError],
    [429, RateLimitError],
    [500, ServerError],
    [503, ServerError],
  ])("with status %i has its class", async (status, ErrorClass) => {
    const error = await call(problem(status, "some_code")).catch((failure: unknown) => failure);
    expect(error).toBeInstanceOf(ErrorClass);
    expect(error).toBeInstanceOf(VolleyError);
    expect(error).toMatchObject({ status, code: "some_code", name: ErrorClass.name });
  });

  test("carries what the problem says, in camelCase, with the members of its code", async () => {
    const members = {
      retryable: true,
      next_action: "Ask for fewer nodes.",
      errors: [{ pointer: "/nodes", code: "too_big", message: "at most 4" }],
      alternatives: [{ gpus_per_node: 4 }],
    };
    const error = await call(problem(422, "gang_impossible", { members })).catch((failure: unknown) => failure);
    expect(error).toMatchObject({
      message: "Detail. Ask for fewer nodes.",
      detail: "Detail.",
      requestId: "req_1",
      retryable: true,
      nextAction: "Ask for fewer nodes.",
      errors: [{ pointer: "/nodes" }],
      problem: { alternatives: [{ gpusPerNode: 4 }] },
    });
  });

  test("that is no problem document still has status, request id and a retryable flag", async () => {
    const page = () => new Response("<html>Bad gateway</html>", { status: 502, headers: { "x-request-id": "req_9" } });
    const error = await call(page).catch((failure: unknown) => failure);
    expect(error).toBeInstanceOf(ServerError);
    expect(error).toMatchObject({ code: "unknown", requestId: "req_9", retryable: true, problem: null });
    expect(String(error)).not.toContain("html");
  });

  test.each(["{", "{}", '{"code":7,"detail":"x"}', "null", ""])(
    "with the body %j is no problem document",
    async (body) => {
      const error = await call(() => new Response(body, { status: 400 })).catch((failure: unknown) => failure);
      expect(error).toMatchObject({ code: "unknown", retryable: false, problem: null });
    },
  );
});

test("an answer that is not JSON says so", async () => {
  await expect(call(() => new Response("<html>"))).rejects.toThrow(InvalidAnswerError);
});

test("an answer comes with its response on request", async () => {
  const api = fakeApi(json({ nodes: 3 }, { headers: { "x-request-id": "req_7" } }));
  const { data, response, requestId } = await new Volley({ baseUrl: BASE_URL, fetch: api.fetch }).network
    .get()
    .withResponse();
  expect([data.nodes, response.status, requestId]).toEqual([3, 200, "req_7"]);
});

test("asking only for the response leaves no rejection unhandled", async () => {
  const unhandled: unknown[] = [];
  const note = (reason: unknown) => unhandled.push(reason);
  process.on("unhandledRejection", note);
  await expect(call(problem(404, "not_found")).withResponse()).rejects.toThrow(NotFoundError);
  await new Promise((resolve) => setImmediate(resolve));
  process.off("unhandledRejection", note);
  expect(unhandled).toEqual([]);
});

test("wrong options are refused when the client is made", () => {
  expect(() => new Volley({ baseUrl: "volley.test" })).toThrow("http://");
  expect(() => new Volley({ apiKey: "a", secret: "b" })).toThrow("not both");
});

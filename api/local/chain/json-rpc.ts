import { z } from "zod";
import { RpcError } from "./rpc-error.ts";

const maxBatch = 100;

const request = z.object({
  jsonrpc: z.literal("2.0"),
  id: z.union([z.string(), z.number(), z.null()]).optional(),
  method: z.string(),
  params: z.union([z.array(z.unknown()), z.null()]).optional(),
});

export type JsonRpcHandler = (method: string, params: readonly unknown[]) => unknown;

type Id = string | number | null;

// Supported by every Node that runs this, but not yet in TypeScript's library.
const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown };

/** JSON in which bigints are numbers of any length, as Solana's RPC writes its 64-bit values. */
export const printJson = (value: unknown): string =>
  JSON.stringify(value, (_key, each) => (typeof each === "bigint" ? rawJSON(each.toString()) : each));

const failure = (id: Id, code: number, message: string, data?: unknown) => ({
  jsonrpc: "2.0",
  error: { code, message, ...(data === undefined ? {} : { data }) },
  id,
});

/**
 * Answers the text of a JSON-RPC 2.0 request or batch (specification, sections 4 to 6), as text; null when there is
 * nothing to answer.
 *
 * @param onUnexpected told of errors that are faults of the server; the caller is answered -32603 without details.
 */
export function answerJsonRpc(
  text: string,
  handler: JsonRpcHandler,
  onUnexpected: (error: unknown) => void,
): string | null {
  const parsed = parseJson(text);
  if (parsed === undefined) return printJson(failure(null, -32700, "Parse error: the body is not JSON"));
  if (!Array.isArray(parsed)) {
    const answer = answerOne(parsed, handler, onUnexpected);
    return answer === null ? null : printJson(answer);
  }
  if (parsed.length === 0) return printJson(failure(null, -32600, "Invalid request: an empty batch"));
  if (parsed.length > maxBatch) {
    return printJson(failure(null, -32600, `Invalid request: a batch has at most ${maxBatch} requests`));
  }
  const answers = parsed.map((each) => answerOne(each, handler, onUnexpected)).filter((answer) => answer !== null);
  return answers.length === 0 ? null : printJson(answers);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function answerOne(value: unknown, handler: JsonRpcHandler, onUnexpected: (error: unknown) => void): unknown {
  const parsed = request.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const reason = `${issue?.path.join(".") || "the request"}: ${issue?.message ?? "not understood"}`;
    return failure(idOf(value), -32600, `Invalid request: ${reason}`);
  }
  const { id, method, params } = parsed.data;
  const answer = answerCall(id ?? null, method, params ?? [], handler, onUnexpected);
  return id === undefined ? null : answer;
}

function answerCall(
  id: Id,
  method: string,
  params: readonly unknown[],
  handler: JsonRpcHandler,
  onUnexpected: (error: unknown) => void,
) {
  try {
    return { jsonrpc: "2.0", result: handler(method, params), id };
  } catch (error) {
    if (error instanceof RpcError) return failure(id, error.code, error.message, error.data);
    onUnexpected(error);
    return failure(id, -32603, "Internal error");
  }
}

function idOf(value: unknown): Id {
  const id = typeof value === "object" && value !== null && "id" in value ? value.id : null;
  return typeof id === "string" || typeof id === "number" ? id : null;
}

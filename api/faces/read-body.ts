/** Reads a request's body once, never more of it than allowed, whatever its length header says. */
import { VolleyError } from "@volley/schema/errors";

const NO_BYTES = new Uint8Array(0);

function tooLarge(bytesMax: number): VolleyError {
  return new VolleyError("body_too_large", `The body is larger than ${bytesMax} bytes.`, {
    nextAction: "Send less, for example a shorter startup script that fetches the rest by itself.",
  });
}

export async function readBody(request: Request, bytesMax: number): Promise<Uint8Array> {
  const length = request.headers.get("content-length");
  if (length !== null) {
    const bytes = Number(length);
    if (bytes === 0) return NO_BYTES;
    if (!(bytes <= bytesMax)) throw tooLarge(bytesMax);
    // The runtime holds the body to the length that it announced.
    return new Uint8Array(await request.arrayBuffer());
  }
  const reader = request.body?.getReader();
  if (reader === undefined) return NO_BYTES;
  const chunks: Uint8Array[] = [];
  let total = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    total += value.byteLength;
    if (total > bytesMax) {
      await reader.cancel();
      throw tooLarge(bytesMax);
    }
    chunks.push(value);
  }
  const body = new Uint8Array(total);
  let offset = 0;
  for (const chunk of chunks) {
    body.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return body;
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

/**
 * The JSON value of a body; an empty body is an empty object.
 * @throws {VolleyError} `unsupported_media_type` or `malformed_body`
 */
export function parseJsonBody(bytes: Uint8Array, contentType: string | null): unknown {
  if (bytes.byteLength === 0) return {};
  if (!/^application\/json\s*(;|$)/i.test(contentType ?? "")) {
    throw new VolleyError(
      "unsupported_media_type",
      contentType === null ? "The body has no Content-Type." : "The body is not announced as JSON.",
      { nextAction: "Send `Content-Type: application/json`." },
    );
  }
  try {
    return JSON.parse(utf8.decode(bytes));
  } catch (error) {
    throw new VolleyError("malformed_body", "The body could not be read as JSON in UTF-8.", {
      nextAction: "Check quotes, commas and brackets; the body must be one JSON object.",
      cause: error,
    });
  }
}

import { createHash, createPublicKey, type KeyObject, verify } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { toCamelCaseKeys, toSnakeCaseKeys } from "@volley/schema/casing";
import { NODE_SIGNATURE_HEADER, nodeSignatureText, parseNodeProof } from "@volley/schema/node-signature";
import { systemClock } from "../../agent/system-clock.ts";
import { FakeControlPlane } from "./fake-control-plane.ts";

/** The false control plane behind real HTTP: it believes a node only by its signature and a counter that grows. */
export class HttpControlPlane {
  readonly plane = new FakeControlPlane(systemClock);
  readonly refusals: string[] = [];
  readonly counters = new Map<string, number[]>();
  #publicKey: KeyObject | null = null;
  readonly #server = createServer((request, response) => void this.#handle(request, response));

  async listen(): Promise<string> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    const address = this.#server.address();
    return `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const pieces: Uint8Array[] = [];
    for await (const piece of request) {
      pieces.push(piece);
    }
    const body = Buffer.concat(pieces);
    const { status, answer } = await this.#answer(request, body).catch((error: unknown) => ({
      status: 503,
      answer: { code: "unavailable", detail: String(error) },
    }));
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify(toSnakeCaseKeys(answer)));
  }

  async #answer(request: IncomingMessage, body: Buffer): Promise<{ status: number; answer: unknown }> {
    const url = new URL(request.url ?? "", "http://localhost");
    const params = body.length === 0 ? {} : toCamelCaseKeys(JSON.parse(body.toString()));
    if (url.pathname === "/v1/nodes") {
      const enrolment = params as Parameters<FakeControlPlane["enrol"]>[0];
      this.#publicKey = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: enrolment.publicKey }, format: "jwk" });
      return { status: 201, answer: await this.plane.enrol(enrolment) };
    }
    const refusal = this.#judge(request, body);
    if (refusal !== null) {
      this.refusals.push(refusal);
      return { status: 401, answer: { code: refusal, detail: "The proof is not accepted." } };
    }
    const { nodeId } = this.plane;
    const signal = AbortSignal.timeout(30_000);
    if (url.pathname.endsWith("/heartbeat")) {
      return { status: 200, answer: await this.plane.heartbeat(nodeId, params as never) };
    }
    if (url.pathname.endsWith("/reports")) {
      return { status: 200, answer: await this.plane.report(nodeId, params as never, { signal }) };
    }
    const after = url.searchParams.get("after") ?? undefined;
    const waitSeconds = Number(url.searchParams.get("wait_seconds"));
    return { status: 200, answer: await this.plane.assignments(nodeId, { after, waitSeconds }, { signal }) };
  }

  #judge(request: IncomingMessage, body: Buffer): string | null {
    const proof = parseNodeProof(String(request.headers[NODE_SIGNATURE_HEADER]));
    if (proof === null || this.#publicKey === null || proof.nodeId !== this.plane.nodeId) {
      return "unauthenticated";
    }
    const { nodeId, channel, counter } = proof;
    const bodySha256 = createHash("sha256").update(body).digest("hex");
    const [method = "", path = ""] = [request.method, request.url];
    const text = Buffer.from(nodeSignatureText({ method, path, bodySha256, nodeId, channel, counter }));
    if (!verify(null, text, this.#publicKey, Buffer.from(proof.signature, "base64url"))) {
      return "node_signature_invalid";
    }
    const seen = this.counters.get(channel) ?? [];
    this.counters.set(channel, seen);
    if (counter <= (seen.at(-1) ?? 0)) {
      return "node_counter_replayed";
    }
    seen.push(counter);
    return null;
  }
}

import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  address,
  generateKeyPair,
  generateKeyPairSigner,
  getAddressFromPublicKey,
  getBase58Encoder,
  getPublicKeyFromAddress,
  type MessageModifyingSigner,
  type SignatureBytes,
} from "@solana/kit";
import { describe, expect, test } from "vitest";
import { EXIT } from "../../sdk/cli/exit-codes.ts";
import { Volley } from "../../sdk/index.ts";
import { ChallengeRefusedError, signIn } from "../../sdk/solana.ts";
import { BASE_URL, fakeApi, json, problem } from "../sdk/fake-api.ts";
import { homeFolder, volley } from "./terminal.ts";

const messageOf = (domain: string, wallet: string) =>
  `${domain} wants you to sign in with your Solana account:\n${wallet}\n\nSign in.\n\nNonce: abcdef0123`;

const challenge = (wallet: string, over: Record<string, unknown> = {}) =>
  json({
    object: "challenge",
    purpose: "sign_in",
    address: wallet,
    message: messageOf("volley.test", wallet),
    nonce: "abcdef0123",
    expires_at: "2026-01-01T00:05:00Z",
    ...over,
  });
const session = (wallet: string) =>
  json({
    object: "session",
    token: "session-token-1",
    account: {
      id: "acct_1",
      object: "account",
      wallet,
      frozen: false,
      frozen_reason: null,
      created_at: "2026-01-01T00:00:00Z",
    },
    expires_at: "2026-02-01T00:00:00Z",
  });

describe("signing in", () => {
  test("signs the challenge's message exactly as it is", async () => {
    const signer = await generateKeyPairSigner();
    const api = fakeApi(challenge(signer.address), session(signer.address));
    const answer = await signIn(new Volley({ baseUrl: BASE_URL, fetch: api.fetch }), { signer });
    expect(answer.token).toBe("session-token-1");
    expect(api.seen[0]?.body).toEqual({ address: signer.address, purpose: "sign_in" });
    const { nonce, signature } = Object(api.seen[1]?.body) as { nonce: string; signature: string };
    const bytes = new Uint8Array(getBase58Encoder().encode(signature));
    const key = await getPublicKeyFromAddress(address(signer.address));
    const message = new TextEncoder().encode(messageOf("volley.test", signer.address));
    expect(await crypto.subtle.verify("Ed25519", key, bytes, message)).toBe(true);
    expect(nonce).toBe("abcdef0123");
  });

  test.each([
    ["another's name", (wallet: string) => ({ message: messageOf("bank.test", wallet) })],
    [
      "a name that only begins like ours",
      (wallet: string) => ({ message: messageOf("volley.test.evil.test", wallet) }),
    ],
    ["another wallet", () => ({ message: messageOf("volley.test", "11111111111111111111111111111111") })],
    ["no sign-in message", () => ({ message: "send everything" })],
  ])("does not sign a message in %s", async (_, over) => {
    const signer = await generateKeyPairSigner();
    const api = fakeApi(challenge(signer.address, over(signer.address)));
    const attempt = signIn(new Volley({ baseUrl: BASE_URL, fetch: api.fetch }), { signer });
    await expect(attempt).rejects.toThrow(ChallengeRefusedError);
    expect(api.seen).toHaveLength(1);
  });
});

test.each([
  ["as it is", (content: Uint8Array) => content, true],
  ["cut short", (content: Uint8Array) => content.slice(0, -1), false],
  ["in capitals", (content: Uint8Array) => content.map((byte) => byte & 0xdf), false],
  ["longer", (content: Uint8Array) => Uint8Array.of(...content, 10), false],
])("a wallet's signature counts only over the message %s", async (_, change, isFine) => {
  const { address: wallet } = await generateKeyPairSigner();
  const signature = new Uint8Array(64).fill(7) as SignatureBytes;
  const signer: MessageModifyingSigner = {
    address: wallet,
    modifyAndSignMessages: async (messages) =>
      messages.map(({ content }) => ({ content: change(content), signatures: { [wallet]: signature } })),
  };
  const api = fakeApi(challenge(wallet), session(wallet));
  const attempt = signIn(new Volley({ baseUrl: BASE_URL, fetch: api.fetch }), { signer }).catch((error) => error);
  expect((await attempt) instanceof ChallengeRefusedError).toBe(!isFine);
});

describe("volley login", () => {
  async function signedIn() {
    const home = await homeFolder();
    const { privateKey, publicKey } = await generateKeyPair(true);
    const seed = Buffer.from((await crypto.subtle.exportKey("pkcs8", privateKey)).slice(16));
    const raw = Buffer.from(await crypto.subtle.exportKey("raw", publicKey));
    await writeFile(join(home, "key.json"), JSON.stringify([...seed, ...raw]));
    const wallet = await getAddressFromPublicKey(publicKey);
    const api = fakeApi(challenge(wallet), session(wallet));
    const login = await volley(api, ["login", "--keypair", join(home, "key.json")], { home });
    return { home, login, wallet, file: join(home, ".config/volley/session.json") };
  }

  test("keeps the token for this user alone, shows it nowhere, and later commands use it", async () => {
    const { home, login, file } = await signedIn();
    expect(login.code).toBe(EXIT.ok);
    expect(login.stdout + login.stderr).not.toContain("session-token-1");
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const api = fakeApi(json({ object: "account" }));
    await volley(api, ["account"], { home });
    expect(api.seen[0]?.headers.get("authorization")).toBe("Bearer session-token-1");
    const other = fakeApi(json({ object: "account" }), json({ object: "account" }));
    await volley(other, ["account", "--api-url", "http://other.test"], { home });
    expect(other.seen[0]?.headers.get("authorization")).toBeNull();
  });

  test("logout ends the session here and there, even when it has ended already", async () => {
    const { home, file } = await signedIn();
    const api = fakeApi(problem(401, "unauthenticated"));
    const { code } = await volley(api, ["logout"], { home });
    expect(code).toBe(EXIT.ok);
    expect(api.seen[0]).toMatchObject({ method: "DELETE", path: "/v1/auth/session" });
    await expect(readFile(file)).rejects.toThrow("ENOENT");
  });
});

/** Signing in with a wallet: one account for each, one use for each challenge, tokens that only their holder knows. */
import { createSignableMessage, generateKeyPairSigner } from "@solana/kit";
import { sql } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { rows } from "../../api/db/database.ts";
import { createChallenge } from "../../api/identity/create-challenge.ts";
import { createSession } from "../../api/identity/create-session.ts";
import { endSession } from "../../api/identity/end-session.ts";
import { getAccount } from "../../api/identity/get-account.ts";
import { newWorld, type World } from "../clusters/world.ts";
import { anonymous, signatureOver, signedChallenge, signIn } from "../harness/account.ts";
import { bearer } from "../harness/services.ts";

let world: World;
beforeAll(async () => {
  world = await newWorld();
});
afterAll(() => world.close());

const begin = (proof: { nonce: string; signature: string }) => createSession(anonymous(world.services), proof);

test("a wallet's account is made at its first sign-in and found again at each later one", async () => {
  const first = await signIn(world.services);
  const again = await signIn(world.services, first.wallet);
  expect(again.account).toEqual(first.account);
  expect(again.token).not.toBe(first.token);
  expect(first.account).toMatchObject({ wallet: first.wallet.address, frozen: false });
  for (const session of [first, again]) expect(await getAccount(session.as(), {})).toEqual(first.account);
});

test("fifty first sign-ins at once make one account", async () => {
  const wallet = await generateKeyPairSigner();
  const sessions = await Promise.all(Array.from({ length: 50 }, () => signIn(world.services, wallet)));
  expect(new Set(sessions.map(({ account }) => account.id)).size).toBe(1);
  expect(new Set(sessions.map(({ token }) => token)).size).toBe(50);
});

describe("a challenge", () => {
  test("says who asks, where, for what, and until when, as wallets check it", async () => {
    const { address } = await generateKeyPairSigner();
    const { message, nonce } = await createChallenge(anonymous(world.services), { address, purpose: "sign_in" });
    const { host, origin } = new URL(world.services.settings.publicUrl);
    expect(message.split("\n").slice(0, 2)).toEqual([
      `${host} wants you to sign in with your Solana account:`,
      address,
    ]);
    for (const line of [`URI: ${origin}`, "Version: 1", `Nonce: ${nonce}`]) expect(message.split("\n")).toContain(line);
  });

  test("is good once, also when fifty use it at once", async () => {
    const proof = await signedChallenge(world.services, await generateKeyPairSigner());
    const answers = await Promise.allSettled(Array.from({ length: 50 }, () => begin(proof)));
    expect(answers.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    await expect(begin(proof)).rejects.toMatchObject({ code: "challenge_invalid" });
  });

  test("is good for five minutes", async () => {
    const wallet = await generateKeyPairSigner();
    const [inTime, late] = [
      await signedChallenge(world.services, wallet),
      await signedChallenge(world.services, wallet),
    ];
    world.clock.pass(299_999);
    await begin(inTime);
    world.clock.pass(1);
    await expect(begin(late)).rejects.toMatchObject({ code: "challenge_invalid" });
  });

  test("that was meant for a refund's address signs nobody in", async () => {
    const proof = await signedChallenge(world.services, await generateKeyPairSigner(), "refund_address");
    await expect(begin(proof)).rejects.toMatchObject({ code: "challenge_invalid" });
  });

  test("is the wallet's that asked: another key, another text and no signature at all are refused", async () => {
    const [wallet, thief] = [await generateKeyPairSigner(), await generateKeyPairSigner()];
    const { nonce, message } = await createChallenge(anonymous(world.services), {
      address: wallet.address,
      purpose: "sign_in",
    });
    for (const signature of [
      await signatureOver(thief, message),
      await signatureOver(wallet, `${message} `),
      await signatureOver(wallet, message.replace(wallet.address, thief.address)),
      "1".repeat(88),
      "0OIl",
    ]) {
      await expect(begin({ nonce, signature })).rejects.toMatchObject({ code: "signature_invalid" });
    }
    // None of that has used it up.
    await begin({ nonce, signature: await signatureOver(wallet, message) });
  });

  test("is not made for what no wallet can sign with", async () => {
    const { usdcMint } = world.services.settings;
    for (const address of ["nonsense", usdcMint.slice(0, 20)]) {
      await expect(createChallenge(anonymous(world.services), { address, purpose: "sign_in" })).rejects.toMatchObject({
        code: "address_invalid",
      });
    }
    expect(createSignableMessage("x").content).toHaveLength(1);
  });
});

describe("a session", () => {
  test("ends when it is told to, and no other with it", async () => {
    const first = await signIn(world.services);
    const other = await signIn(world.services, first.wallet);
    await endSession(first.as(), {});
    await expect(getAccount(first.as(), {})).rejects.toMatchObject({ code: "credential_invalid" });
    expect(await getAccount(other.as(), {})).toEqual(first.account);
  });

  test("ends by itself", async () => {
    const session = await signIn(world.services);
    world.clock.pass(world.services.settings.sessionLifetimeSeconds * 1000 - 1);
    await getAccount(session.as(), {});
    world.clock.pass(1);
    await expect(getAccount(session.as(), {})).rejects.toMatchObject({ code: "credential_invalid" });
  });

  test("is kept as a hash: nobody who reads the database can take it", async () => {
    const session = await signIn(world.services);
    const kept = await rows<{ row: string }>(world.db, sql`SELECT sessions::text AS row FROM sessions`);
    expect(kept.length).toBeGreaterThan(0);
    for (const { row } of kept) expect(row).not.toContain(session.token);
    const [last] = await rows<{ token_hash: string }>(
      world.db,
      sql`SELECT token_hash FROM sessions ORDER BY created_at DESC LIMIT 1`,
    );
    await expect(getAccount(bearer(world.services, last?.token_hash ?? ""), {})).rejects.toMatchObject({
      code: "credential_invalid",
    });
  });
});

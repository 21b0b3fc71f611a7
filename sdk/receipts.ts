/** Checks receipts offline: signatures, chains and sums, with nothing but the published keys. */
import { toCamelCaseKeys } from "@volley/schema/casing";

/** A JWK set (RFC 7517), as the API publishes it at `/.well-known/jwks.json`. Keep a copy: it is what you trust. */
export interface ReceiptKeySet {
  readonly keys: readonly Readonly<Record<string, unknown>>[];
}

/** A receipt as the API answers it, in either spelling, or its JWS alone. */
export type ReceiptLike = string | { readonly jws: string; readonly [member: string]: unknown };

export interface VerifiedReceipt {
  readonly id: string;
  readonly clusterId: string;
  readonly chain: string;
  readonly sequence: number;
  /** SHA-256 of the JWS, hex. */
  readonly hash: string;
  /** What is wrong with it by itself; empty when nothing is. */
  readonly problems: readonly string[];
  /**
   * The day's root that it is proved to be part of; null where no proof came with it. Whether the root is in that
   * transaction's memo is for a Solana node to say.
   */
  readonly anchor: { readonly day: string; readonly merkleRoot: string; readonly signature: string | null } | null;
}

export interface VerifiedChain {
  readonly chain: string;
  /** Numbers of the first and the last receipt that were given; before the first there may be others. */
  readonly first: number;
  readonly last: number;
  /** Receipts that are missing in between, forks and broken links. */
  readonly problems: readonly string[];
}

export interface ReceiptVerification {
  /** There is a receipt, and nothing is wrong. */
  readonly ok: boolean;
  readonly receipts: readonly VerifiedReceipt[];
  readonly chains: readonly VerifiedChain[];
}

interface MoneyText {
  readonly amount: string;
}

interface Content {
  readonly id: string;
  readonly chain: string;
  readonly sequence: number;
  readonly previous_hash: string | null;
  readonly cluster_id: string;
  readonly gpus_per_node: number;
  readonly nodes: readonly { seconds: number; price_per_gpu_hour: MoneyText; amount: MoneyText }[];
  readonly compute: MoneyText;
  readonly platform_fee_bps: number;
  readonly platform_fee: MoneyText;
  readonly charged: MoneyText;
  readonly payments: readonly { received: MoneyText }[];
  readonly paid: MoneyText;
  readonly refunds: readonly { amount: MoneyText }[];
  readonly written_off: MoneyText;
}

interface Checked {
  readonly verified: VerifiedReceipt;
  readonly previousHash: string | null;
}

const SECONDS_PER_HOUR = 3600n;
const BPS_PER_WHOLE = 10_000n;

/**
 * Verifies receipts of any number of chains, in any order, without asking anybody.
 * @param keySet the keys that are trusted, from `/.well-known/jwks.json`
 */
export async function verifyReceipts(
  receipts: Iterable<ReceiptLike>,
  keySet: ReceiptKeySet,
): Promise<ReceiptVerification> {
  const checked: Checked[] = [];
  for (const receipt of receipts) checked.push(await checkReceipt(receipt, keySet));
  const byChain = new Map<string, Checked[]>();
  for (const one of checked) {
    byChain.set(one.verified.chain, [...(byChain.get(one.verified.chain) ?? []), one]);
  }
  const chains = [...byChain].map(([chain, members]) => checkChain(chain, members));
  const all = checked.map(({ verified }) => verified);
  const isFaultless = [...all, ...chains].every(({ problems }) => problems.length === 0);
  return { ok: all.length > 0 && isFaultless, receipts: all, chains };
}

async function checkReceipt(receipt: ReceiptLike, keySet: ReceiptKeySet): Promise<Checked> {
  const given = typeof receipt === "string" ? { jws: receipt } : receipt;
  const hash = toHex(await sha256(new TextEncoder().encode(given.jws)));
  const problems: string[] = [];
  let content: Content | null = null;
  try {
    const [header = "", payload = "", signature = "", ...rest] = given.jws.split(".");
    if (rest.length > 0) throw new Error("it is no compact JWS");
    content = JSON.parse(fromBase64urlText(payload)) as Content;
    const fault = await signatureFault(header, payload, signature, keySet);
    if (fault !== null) problems.push(fault);
    problems.push(...sumFaults(content), ...differences(given, content, hash));
  } catch (error) {
    problems.push(`it can't be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  const anchor = await checkAnchor(given, hash, problems);
  return {
    verified: {
      id: String(content?.id ?? "unknown"),
      clusterId: String(content?.cluster_id ?? "unknown"),
      chain: String(content?.chain ?? "unknown"),
      sequence: Number(content?.sequence ?? 0),
      hash,
      problems,
      anchor,
    },
    previousHash: content?.previous_hash ?? null,
  };
}

async function signatureFault(
  header: string,
  payload: string,
  signature: string,
  keySet: ReceiptKeySet,
): Promise<string | null> {
  const { alg, kid, crit } = JSON.parse(fromBase64urlText(header)) as Record<string, unknown>;
  // The algorithm is ours to choose, never the text's.
  if (alg !== "EdDSA" || crit !== undefined) return `it is signed by ${String(alg)}, not by EdDSA`;
  const jwk = keySet.keys.find((key) => key.kid === kid && key.kty === "OKP" && key.crv === "Ed25519");
  if (jwk === undefined || typeof jwk.x !== "string") return `the key set has no key ${String(kid)}`;
  const key = await crypto.subtle.importKey("raw", fromBase64url(jwk.x), "Ed25519", false, ["verify"]);
  const signed = new TextEncoder().encode(`${header}.${payload}`);
  const holds = await crypto.subtle.verify("Ed25519", key, fromBase64url(signature), signed);
  return holds ? null : "its signature doesn't match: it was altered, or another key has signed it";
}

function micro({ amount }: MoneyText): bigint {
  if (!/^[0-9]{1,13}\.[0-9]{6}$/.test(amount)) throw new Error(`"${amount}" is no amount`);
  return BigInt(amount.replace(".", ""));
}

const sum = (amounts: readonly MoneyText[]) => amounts.reduce((total, amount) => total + micro(amount), 0n);

/** What the receipt says must follow from what it says. */
function sumFaults(content: Content): string[] {
  const faults: string[] = [];
  let most = 0n;
  for (const [index, node] of content.nodes.entries()) {
    const price = micro(node.price_per_gpu_hour);
    const whole = (price * BigInt(content.gpus_per_node) * BigInt(node.seconds)) / SECONDS_PER_HOUR;
    most += whole;
    if (micro(node.amount) > whole) faults.push(`node ${index} costs more than its seconds at its price`);
  }
  const expect = (holds: boolean, fault: string) => {
    if (!holds) faults.push(fault);
  };
  const [compute, fee, charged] = [micro(content.compute), micro(content.platform_fee), micro(content.charged)];
  expect(compute === sum(content.nodes.map((node) => node.amount)), "compute is not the sum over the nodes");
  expect(fee <= (most * BigInt(content.platform_fee_bps)) / BPS_PER_WHOLE, "the fee is above its share of compute");
  expect(charged === compute + fee, "charged is not compute and fee");
  const paid = micro(content.paid);
  expect(paid === sum(content.payments.map((payment) => payment.received)), "paid is not the sum over the payments");
  const refunded = sum(content.refunds.map((refund) => refund.amount));
  const isBalanced = paid + micro(content.written_off) === charged + refunded;
  expect(isBalanced, "paid and written off are not charged and refunded");
  return faults;
}

/** What stands beside the JWS must say the same as what is signed. */
function differences(given: Exclude<ReceiptLike, string>, content: Content, hash: string): string[] {
  const faults: string[] = [];
  const beside = toCamelCaseKeys(given) as Record<string, unknown>;
  const signed = toCamelCaseKeys(content) as Record<string, unknown>;
  for (const name of ["id", "clusterId", "chain", "sequence"]) {
    if (beside[name] !== undefined && beside[name] !== signed[name]) faults.push(`its ${name} is not what is signed`);
  }
  if (beside.hash !== undefined && beside.hash !== hash) faults.push("its hash is not that of its JWS");
  if (beside.content !== undefined && !isSame(beside.content, signed)) faults.push("its content is not what is signed");
  return faults;
}

function isSame(one: unknown, other: unknown): boolean {
  if (one === null || other === null || typeof one !== "object" || typeof other !== "object") return one === other;
  const [keys, others] = [Object.keys(one), Object.keys(other)];
  const at = (value: object, key: string) => (value as Record<string, unknown>)[key];
  return keys.length === others.length && keys.every((key) => key in other && isSame(at(one, key), at(other, key)));
}

function checkChain(chain: string, members: readonly Checked[]): VerifiedChain {
  const problems: string[] = [];
  const sorted = members.toSorted((one, other) => one.verified.sequence - other.verified.sequence);
  for (const [index, { verified, previousHash }] of sorted.entries()) {
    const { sequence, hash } = verified;
    const before = sorted[index - 1]?.verified;
    if (sequence === 1 && previousHash !== null) problems.push("receipt 1 names one before it");
    if (before === undefined) continue;
    if (before.sequence === sequence) {
      if (before.hash !== hash) problems.push(`there are two receipts ${sequence}`);
    } else if (before.sequence + 1 < sequence) {
      const missing = before.sequence + 1;
      problems.push(
        missing === sequence - 1
          ? `receipt ${missing} is missing`
          : `receipts ${missing} to ${sequence - 1} are missing`,
      );
    } else if (previousHash !== before.hash) {
      problems.push(`receipt ${sequence} doesn't name the hash of receipt ${before.sequence}`);
    }
  }
  return {
    chain,
    first: sorted[0]?.verified.sequence ?? 0,
    last: sorted.at(-1)?.verified.sequence ?? 0,
    problems,
  };
}

/** Follows the proof from the receipt's hash up to the root: RFC 6962 hashing, leaves and nodes told apart. */
async function checkAnchor(
  given: Exclude<ReceiptLike, string>,
  hash: string,
  problems: string[],
): Promise<VerifiedReceipt["anchor"]> {
  const anchor = (toCamelCaseKeys(given) as Record<string, unknown>).anchor as
    | Record<string, unknown>
    | null
    | undefined;
  if (anchor === null || anchor === undefined) return null;
  const { day, merkleRoot, proof, signature } = anchor;
  let node = await sha256(Uint8Array.of(0, ...fromHex(hash)));
  for (const step of Array.isArray(proof) ? proof : []) {
    const [, side, sibling] = /^([LR]):([0-9a-f]{64})$/.exec(String(step)) ?? [];
    if (sibling === undefined) {
      problems.push("its proof can't be read");
      return null;
    }
    const other = fromHex(sibling);
    node = await sha256(side === "L" ? Uint8Array.of(1, ...other, ...node) : Uint8Array.of(1, ...node, ...other));
  }
  if (toHex(node) !== merkleRoot) {
    problems.push(`it is not part of the tree of ${String(day)}`);
    return null;
  }
  return { day: String(day), merkleRoot: toHex(node), signature: typeof signature === "string" ? signature : null };
}

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function fromHex(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

function fromBase64url(text: string): Uint8Array<ArrayBuffer> {
  if (!/^[A-Za-z0-9_-]*$/.test(text)) throw new Error("it is not written in base64url");
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}

function fromBase64urlText(text: string): string {
  return new TextDecoder("utf-8", { fatal: true }).decode(fromBase64url(text));
}

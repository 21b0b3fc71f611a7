import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { chmodSync, existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { SlotNames } from "../inventory/slots.ts";
import type { WorkloadRuntime } from "../runtime/workload-runtime.ts";
import { readJsonFile, writeJsonFile } from "./json-file.ts";

/** This machine's key. The private half never leaves it. */
export interface NodeKey {
  readonly privateKey: KeyObject;
  /** 32 bytes in base64url. */
  readonly publicKey: string;
}

/** What was agreed when the machine joined. */
export interface Membership {
  readonly nodeId: string;
  /** Renters were promised this kind of isolation, so a restart must not choose another. */
  readonly runtime: WorkloadRuntime["kind"];
  /** Absent when an older agent joined. */
  readonly slots?: SlotNames;
}

/** The key in `directory`; made on first use, in a file that only this user can read. */
export function loadNodeKey(directory: string): NodeKey {
  const path = join(directory, "node-key.pem");
  if (!existsSync(path)) {
    createKeyFile(directory, path);
  }
  chmodSync(path, 0o600);
  const privateKey = createPrivateKey(readFileSync(path));
  const { x: publicKey } = createPublicKey(privateKey).export({ format: "jwk" });
  if (privateKey.asymmetricKeyType !== "ed25519" || publicKey === undefined) {
    throw new Error(`${path} holds no Ed25519 key.`);
  }
  return { privateKey, publicKey };
}

function createKeyFile(directory: string, path: string): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const draft = `${path}.${process.pid}`;
  const { privateKey } = generateKeyPairSync("ed25519");
  writeFileSync(draft, privateKey.export({ format: "pem", type: "pkcs8" }), { mode: 0o600 });
  try {
    // Unlike a rename a link never replaces: of two first starts at once, both use the key that came first.
    linkSync(draft, path);
  } catch (error) {
    if (!(error instanceof Error && Reflect.get(error, "code") === "EEXIST")) {
      throw error;
    }
  } finally {
    rmSync(draft, { force: true });
  }
}

const membershipFile = (directory: string) => join(directory, "node.json");

export function loadMembership(directory: string): Membership | null {
  return readJsonFile<Membership>(membershipFile(directory));
}

export function saveMembership(directory: string, membership: Membership): void {
  writeJsonFile(membershipFile(directory), membership);
}

/** The all-in-one on fixed ports, so that whoever talks to it may outlive it. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Volley } from "@volley/sdk";
import { keypairSignerFromFile, payTransferRequest } from "@volley/sdk/solana";
import { freePort } from "../../api/local/postgres.ts";
import { runAudit, usdcOf } from "../e2e/checks.ts";
import { findLeftovers } from "../e2e/leftovers.ts";
import { type LocalFile, type LocalServer, startLocalServer } from "../harness/local-server.ts";

/** For what never comes about; on a busy machine the ordinary steps may take most of a minute. */
const WAIT_MS = 180_000;
const POLL_MS = 50;

export class MortalServer implements AsyncDisposable {
  readonly folder: string;
  readonly #ports: readonly string[];
  #server: LocalServer;
  #deaths = 0;

  static async start(): Promise<MortalServer> {
    const folder = await mkdtemp(join(tmpdir(), "volley-crash-"));
    const ports = ["--port", String(await freePort()), "--rpc-port", String(await freePort())];
    return new MortalServer(folder, ports, await startLocalServer(folder, { args: ports }));
  }

  private constructor(folder: string, ports: readonly string[], server: LocalServer) {
    this.folder = folder;
    this.#ports = ports;
    this.#server = server;
  }

  get local(): LocalFile {
    return this.#server.local;
  }

  get deaths(): number {
    return this.#deaths;
  }

  /** A client that doesn't repeat anything by itself. */
  get volley(): Volley {
    return new Volley({ baseUrl: this.local.api_url, maxRetries: 0, timeoutMs: 10_000 });
  }

  async payerAddress(): Promise<string> {
    return (await keypairSignerFromFile(this.local.payer_keypair_path)).address;
  }

  async pay(url: string, signal?: AbortSignal): Promise<void> {
    const signer = await keypairSignerFromFile(this.local.payer_keypair_path);
    await payTransferRequest({ url, signer, rpcUrl: this.local.rpc_url, signal });
  }

  async payerMicroUsdc(): Promise<bigint> {
    return usdcOf(this.local, await this.payerAddress());
  }

  /** Ends the process at once, as a power cut does; Postgres and whatever runs on the machine are left to themselves. */
  async kill(): Promise<void> {
    this.#deaths += 1;
    await this.#server.kill();
  }

  async start(): Promise<void> {
    this.#server = await startLocalServer(this.folder, { args: this.#ports });
  }

  async killAndStart(): Promise<void> {
    await this.kill();
    await this.start();
  }

  /** @throws with the server's last words when it doesn't hold in time */
  async until<Found>(what: string, look: () => Promise<Found | null | undefined | false>): Promise<Found> {
    let last: unknown = null;
    const since = performance.now();
    while (performance.now() - since < WAIT_MS) {
      try {
        const found = await look();
        if (found) return found;
      } catch (error) {
        last = error;
      }
      await delay(POLL_MS);
    }
    const words = this.#server.output().slice(-4000);
    throw new Error(`this did not come about: ${what}. The server printed last:\n${words}`, { cause: last });
  }

  /** What the audit finds broken, by name. */
  async brokenRules(): Promise<string[]> {
    const results = await runAudit(this.folder);
    return results.filter((result) => !result.holds).map((result) => result.name);
  }

  /** Stops in order and says what it has left on the machine. */
  async stop(clusterIds: readonly string[]): Promise<string[]> {
    const code = await this.#server.stop();
    const left = await findLeftovers(this.folder, clusterIds);
    return code === 0 ? left : [`the server ended with ${code}`, ...left];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop();
    await rm(this.folder, { recursive: true, force: true });
  }
}

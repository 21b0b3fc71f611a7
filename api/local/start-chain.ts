/** The chain of the all-in-one: the development chain with a faucet, or the cluster that SOLANA_RPC_URL names. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { poolAt } from "../chain/pool.ts";
import { rpcChainAt } from "../chain/rpc.ts";
import type { Chain } from "../ports/chain.ts";
import type { Clock } from "../ports/clock.ts";
import type { Metrics } from "../ports/metrics.ts";
import { address, parseSettings, rpcUrls } from "../settings.ts";
import { startDevelopmentChain } from "./chain/start-development-chain.ts";
import { askFaucet } from "./faucet.ts";
import { openTokenAccount, readKeypair } from "./open-token-account.ts";

/** Quick slots, so that trying things out needs no patience: a payment above the limit is final after 3 s. */
const SLOT_MS = 100;
const PAYER_USDC = 10_000;
const WALLET_SOL = 100;

const ofCluster = z.object({ SOLANA_RPC_URL: rpcUrls, USDC_MINT: address });

export interface LocalChain {
  readonly chain: Chain;
  readonly rpcUrl: string;
  readonly wsUrl: string;
  /** Null on a cluster that isn't ours. */
  readonly faucetUrl: string | null;
  readonly usdcMint: string;
  close(): Promise<void>;
}

interface ChainOptions {
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly folder: string;
  readonly port: number;
  readonly treasuryAddress: string;
  readonly sponsorAddress: string;
  readonly payerFile: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly onError: (error: unknown) => void;
}

export async function startChain(options: ChainOptions): Promise<LocalChain> {
  const { clock, metrics, environment } = options;
  const external = environment.SOLANA_RPC_URL;
  if (external !== undefined && external !== "") {
    if (!environment.USDC_MINT) {
      throw new Error("SOLANA_RPC_URL is set, so USDC_MINT has to name the mint of USDC on that cluster.");
    }
    const { SOLANA_RPC_URL, USDC_MINT: mint } = parseSettings(ofCluster, environment);
    const [rpcUrl = external, ...others] = SOLANA_RPC_URL;
    const wsUrl = rpcUrl.replace(/^http/, "ws");
    const chain = poolAt([rpcUrl, ...others], { clock, metrics });
    return { chain, rpcUrl, wsUrl, faucetUrl: null, usdcMint: mint, close: async () => undefined };
  }

  const dataFolder = join(options.folder, "chain");
  const isNew = !existsSync(dataFolder);
  const server = await startDevelopmentChain({
    port: options.port,
    slotMs: SLOT_MS,
    dataFolder,
    onError: options.onError,
  });
  try {
    const chain = rpcChainAt(server.rpcUrl, { clock });
    const payer = await readKeypair(options.payerFile);
    if (isNew) {
      await askFaucet(server.faucetUrl, { address: options.treasuryAddress, sol: WALLET_SOL });
      await askFaucet(server.faucetUrl, { address: options.sponsorAddress, sol: WALLET_SOL });
      await askFaucet(server.faucetUrl, { address: payer.address, sol: WALLET_SOL, usdc: PAYER_USDC });
    }
    await openTokenAccount(chain, payer, options.treasuryAddress, server.usdcMint);
    const { rpcUrl, wsUrl, faucetUrl, usdcMint } = server;
    return { chain, rpcUrl, wsUrl, faucetUrl, usdcMint, close: () => server.close() };
  } catch (error) {
    await server.close();
    throw error;
  }
}

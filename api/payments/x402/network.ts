import type { Settings } from "../../settings.ts";

/**
 * CAIP-2: the first 32 characters of the cluster's genesis hash. Clients know these three and refuse any other, so a
 * development chain goes by the name of devnet; its mint exists nowhere else, so nothing can be paid on the wrong one.
 */
const NETWORKS = {
  mainnet: "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp",
  devnet: "solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1",
  testnet: "solana:4uhcVJyU9pJkvQyS88uRDiswHXSCkY3z",
  localnet: "solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1",
} as const satisfies Record<Settings["solanaNetwork"], string>;

export const networkOf = (settings: Pick<Settings, "solanaNetwork">): string => NETWORKS[settings.solanaNetwork];

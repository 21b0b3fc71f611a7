/** Randomness, injected, so that a seed replays a run. The real adapter is cryptographically strong. */
export interface Random {
  bytes(length: number): Uint8Array;
}

/** What a single call may change. */
export interface RequestOptions {
  /** Gives the call up, with whatever reason it carries as the cause. */
  signal?: AbortSignal | undefined;
  /** Limit of each attempt, reading its body included, in milliseconds. For a stream: until its first byte. */
  timeoutMs?: number | undefined;
  maxRetries?: number | undefined;
  /** Replaces the generated key. The same key with the same params is the same call, whenever it is repeated. */
  idempotencyKey?: string | undefined;
  headers?: Readonly<Record<string, string>> | undefined;
  /** Credential of this call alone, such as a cluster's secret. */
  secret?: string | undefined;
}

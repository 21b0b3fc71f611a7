/**
 * What listens on loopback alone is still in reach of every web page that is open in a browser on this machine: by
 * requests to 127.0.0.1, and by names that are pointed at it (DNS rebinding). Here such a page could rent this very
 * machine with money from the faucet and run commands on it, so only pages of this machine are answered.
 */
const LOOPBACK_NAMES = new Set(["127.0.0.1", "localhost", "[::1]"]);

function isLoopback(url: string): boolean {
  return URL.canParse(url) && LOOPBACK_NAMES.has(new URL(url).hostname);
}

/**
 * @param host the header of that name
 * @param origin the header of that name, which browsers send with all that one site asks of another (Fetch standard,
 * section 3.2); programs send none
 */
export function isFromThisMachine(host: string | null | undefined, origin: string | null | undefined): boolean {
  return isLoopback(`http://${host ?? ""}`) && (origin == null || isLoopback(origin));
}

export const FOREIGN_DETAIL = "Only programs and web pages of this machine are answered, at 127.0.0.1 or localhost.";

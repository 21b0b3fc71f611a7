import type { Chain, SignatureInfo } from "../../ports/chain.ts";

const PAGE = 1_000;

export interface ListOptions {
  /** History up to here is known. */
  readonly after?: { readonly signature: string; readonly slot: bigint } | undefined;
  readonly pagesMax: number;
  readonly commitment: "confirmed" | "finalized";
}

export interface ListedSignatures {
  /** Oldest first. */
  readonly entries: readonly SignatureInfo[];
  /** Whether the list reaches back to `after`, or to the beginning, as far as one can tell. */
  readonly complete: boolean;
}

/**
 * The history of an address, page by page, each entry once. A node that doesn't know `after` answers with what is
 * older too, so the slot ends the list as well; one that doesn't know the last page's end answers with nothing, so a
 * list that breaks off after a full page is not taken for complete.
 */
export async function listSignatures(chain: Chain, address: string, options: ListOptions): Promise<ListedSignatures> {
  const { after, pagesMax, commitment } = options;
  const newestFirst: SignatureInfo[] = [];
  const known = new Set<string>();
  // Several nodes are paged side by side, so a later page may have entries as new as those of the page before.
  const listed = (complete: boolean) => ({ entries: newestFirst.toReversed().sort(bySlot), complete });
  let before: string | undefined;
  for (let pages = 0; pages < pagesMax; pages++) {
    const page = await chain.signaturesForAddress(address, {
      limit: PAGE,
      commitment,
      ...(before === undefined ? {} : { before }),
      ...(after === undefined ? {} : { until: after.signature, untilSlot: after.slot }),
    });
    for (const entry of page) {
      if (after !== undefined && entry.slot < after.slot) return listed(true);
      if (!known.has(entry.signature)) newestFirst.push(entry);
      known.add(entry.signature);
    }
    before = page.at(-1)?.signature;
    if (page.length === 0) return listed(pages === 0);
    if (page.length < PAGE) return listed(true);
  }
  return listed(false);
}

const bySlot = (one: SignatureInfo, two: SignatureInfo) => (one.slot === two.slot ? 0 : one.slot < two.slot ? -1 : 1);

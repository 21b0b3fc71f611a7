import type { TaskHandlers } from "../jobs/engine.ts";
import { anchorReceipts } from "./anchor/anchor-receipts.ts";
import { processRefund } from "./refunds/process-refund.ts";
import { processSponsored } from "./sponsor/process-sponsored.ts";
import type { TreasuryServices } from "./treasury-context.ts";

/** Which step follows which kind of task, in the only process that holds a key that spends. */
export const TREASURY_HANDLERS: TaskHandlers<TreasuryServices> = {
  refund: processRefund,
  anchor: anchorReceipts,
  sponsor: processSponsored,
};

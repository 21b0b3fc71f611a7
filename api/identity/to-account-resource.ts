import { type Account, parseId, toTimestamp } from "@volley/schema";
import type { CustomerRow } from "./open-account.ts";

export function toAccountResource(customer: CustomerRow): Account {
  return {
    id: parseId("account", customer.id),
    object: "account",
    wallet: customer.wallet,
    frozen: customer.frozenAt !== null,
    frozen_reason: customer.frozenReason,
    created_at: toTimestamp(customer.createdAt),
  };
}

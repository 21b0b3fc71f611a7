import { z } from "zod";
import { idSchema } from "../ids.ts";
import { defineOperation } from "../operation.ts";
import { pageFields, pageOf } from "../pages.ts";
import { receiptSchema } from "../resources/receipt.ts";

export const receiptsGet = defineOperation({
  id: "receipts.get",
  summary: "One receipt, with its signature",
  method: "GET",
  path: "/v1/receipts/{id}",
  graphql: { kind: "query", field: "receipt" },
  input: z.strictObject({ id: idSchema("receipt") }),
  output: receiptSchema,
  errors: ["unauthenticated", "credential_invalid", "not_found"],
  scope: "holder",
  idempotency: "none",
  rateLimit: "read",
});

export const receiptsList = defineOperation({
  id: "receipts.list",
  summary: "The receipts that the credential opens, newest first",
  method: "GET",
  path: "/v1/receipts",
  graphql: { kind: "query", field: "receipts" },
  input: z.strictObject({ cluster_id: idSchema("cluster").optional(), ...pageFields }),
  output: pageOf(receiptSchema, "ReceiptPage"),
  errors: ["unauthenticated", "credential_invalid", "invalid_cursor"],
  scope: "holder",
  idempotency: "none",
  rateLimit: "read",
});

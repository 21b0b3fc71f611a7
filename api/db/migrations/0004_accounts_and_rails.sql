CREATE TABLE "alarms" (
	"name" text PRIMARY KEY NOT NULL,
	"detail" text NOT NULL,
	"blocks_outbound" boolean NOT NULL,
	"raised_at" bigint NOT NULL,
	"seen_at" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "auth_challenges" (
	"nonce" text PRIMARY KEY NOT NULL,
	"address" text NOT NULL,
	"purpose" text NOT NULL,
	"message" text NOT NULL,
	"expires_at" bigint NOT NULL,
	"used_at" bigint
);
--> statement-breakpoint
CREATE TABLE "card_events" (
	"id" text PRIMARY KEY NOT NULL,
	"type" text NOT NULL,
	"created_at" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "card_payments" (
	"session_id" text PRIMARY KEY NOT NULL,
	"payment_id" text NOT NULL,
	"payment_intent" text,
	"amount_minor" bigint NOT NULL,
	"currency" text NOT NULL,
	"status" text NOT NULL,
	"reversed_micro_usdc" bigint DEFAULT 0 NOT NULL,
	"dispute_status" text,
	"created_at" bigint NOT NULL,
	"available_at" bigint,
	CONSTRAINT "card_payments_payment_id_unique" UNIQUE("payment_id"),
	CONSTRAINT "card_payments_payment_intent_unique" UNIQUE("payment_intent"),
	CONSTRAINT "card_payments_reversed" CHECK ("card_payments"."reversed_micro_usdc" >= 0)
);
--> statement-breakpoint
CREATE TABLE "customers" (
	"id" text PRIMARY KEY NOT NULL,
	"wallet" text NOT NULL,
	"created_at" bigint NOT NULL,
	"frozen_at" bigint,
	"frozen_reason" text,
	CONSTRAINT "customers_wallet_unique" UNIQUE("wallet")
);
--> statement-breakpoint
CREATE TABLE "receipt_anchors" (
	"day" text PRIMARY KEY NOT NULL,
	"merkle_root" text NOT NULL,
	"leaves" integer NOT NULL,
	"status" text NOT NULL,
	"signature" text,
	"transaction_base64" text,
	"last_valid_block_height" bigint,
	"created_at" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "receipts" (
	"id" text PRIMARY KEY NOT NULL,
	"chain" text NOT NULL,
	"sequence" integer NOT NULL,
	"cluster_id" text NOT NULL,
	"hash" text NOT NULL,
	"jws" text NOT NULL,
	"day" text NOT NULL,
	"created_at" bigint NOT NULL,
	CONSTRAINT "receipts_cluster_id_unique" UNIQUE("cluster_id"),
	CONSTRAINT "receipts_hash_unique" UNIQUE("hash"),
	CONSTRAINT "receipts_chain" UNIQUE("chain","sequence"),
	CONSTRAINT "receipts_sequence" CHECK ("receipts"."sequence" >= 1)
);
--> statement-breakpoint
CREATE TABLE "screenings" (
	"id" text PRIMARY KEY NOT NULL,
	"address" text NOT NULL,
	"subject" text NOT NULL,
	"reference" text NOT NULL,
	"allowed" boolean NOT NULL,
	"list_date" text NOT NULL,
	"created_at" bigint NOT NULL,
	CONSTRAINT "screenings_once" UNIQUE("subject","reference","address","list_date")
);
--> statement-breakpoint
CREATE TABLE "sessions" (
	"token_hash" text PRIMARY KEY NOT NULL,
	"customer_id" text NOT NULL,
	"created_at" bigint NOT NULL,
	"expires_at" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "sponsored_transactions" (
	"id" text PRIMARY KEY NOT NULL,
	"purpose" text NOT NULL,
	"payment_id" text NOT NULL,
	"transaction_base64" text NOT NULL,
	"status" text NOT NULL,
	"signed_base64" text,
	"signature" text,
	"last_valid_block_height" bigint NOT NULL,
	"reason" text,
	"created_at" bigint NOT NULL,
	CONSTRAINT "sponsored_transactions_signature_unique" UNIQUE("signature")
);
--> statement-breakpoint
CREATE TABLE "treasury_signings" (
	"signature" text PRIMARY KEY NOT NULL,
	"purpose" text NOT NULL,
	"reference" text NOT NULL,
	"micro_usdc" bigint NOT NULL,
	"lamports" bigint NOT NULL,
	"created_at" bigint NOT NULL
);
--> statement-breakpoint
DROP INDEX "transfers_holds";--> statement-breakpoint
ALTER TABLE "payments" ALTER COLUMN "cluster_id" DROP NOT NULL;--> statement-breakpoint
ALTER TABLE "payments" ALTER COLUMN "hold_transfer_id" DROP NOT NULL;--> statement-breakpoint
ALTER TABLE "payments" ALTER COLUMN "recipient" DROP NOT NULL;--> statement-breakpoint
ALTER TABLE "payments" ALTER COLUMN "mint" DROP NOT NULL;--> statement-breakpoint
ALTER TABLE "payments" ALTER COLUMN "reference" DROP NOT NULL;--> statement-breakpoint
ALTER TABLE "refunds" ALTER COLUMN "cluster_id" DROP NOT NULL;--> statement-breakpoint
ALTER TABLE "clusters" ADD COLUMN "customer_id" text;--> statement-breakpoint
ALTER TABLE "inbound_transfers" ADD COLUMN "claimed_by" text;--> statement-breakpoint
ALTER TABLE "payments" ADD COLUMN "customer_id" text;--> statement-breakpoint
ALTER TABLE "payments" ADD COLUMN "checkout_url" text;--> statement-breakpoint
ALTER TABLE "refunds" ADD COLUMN "kind" text NOT NULL;--> statement-breakpoint
ALTER TABLE "refunds" ADD COLUMN "customer_id" text;--> statement-breakpoint
ALTER TABLE "refunds" ADD COLUMN "supplier_id" text;--> statement-breakpoint
ALTER TABLE "refunds" ADD COLUMN "reason" text;--> statement-breakpoint
ALTER TABLE "refunds" ADD COLUMN "not_before" bigint NOT NULL;--> statement-breakpoint
ALTER TABLE "suppliers" ADD COLUMN "payout_address" text;--> statement-breakpoint
ALTER TABLE "card_payments" ADD CONSTRAINT "card_payments_payment_id_payments_id_fk" FOREIGN KEY ("payment_id") REFERENCES "public"."payments"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "receipts" ADD CONSTRAINT "receipts_cluster_id_clusters_id_fk" FOREIGN KEY ("cluster_id") REFERENCES "public"."clusters"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "sessions" ADD CONSTRAINT "sessions_customer_id_customers_id_fk" FOREIGN KEY ("customer_id") REFERENCES "public"."customers"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "sponsored_transactions" ADD CONSTRAINT "sponsored_transactions_payment_id_payments_id_fk" FOREIGN KEY ("payment_id") REFERENCES "public"."payments"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "auth_challenges_expiry" ON "auth_challenges" USING btree ("expires_at");--> statement-breakpoint
CREATE INDEX "receipts_day" ON "receipts" USING btree ("day","id");--> statement-breakpoint
CREATE INDEX "sessions_expiry" ON "sessions" USING btree ("expires_at");--> statement-breakpoint
CREATE INDEX "sponsored_payment" ON "sponsored_transactions" USING btree ("payment_id");--> statement-breakpoint
CREATE INDEX "treasury_signings_day" ON "treasury_signings" USING btree ("created_at");--> statement-breakpoint
ALTER TABLE "clusters" ADD CONSTRAINT "clusters_customer_id_customers_id_fk" FOREIGN KEY ("customer_id") REFERENCES "public"."customers"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "inbound_transfers" ADD CONSTRAINT "inbound_transfers_claimed_by_customers_id_fk" FOREIGN KEY ("claimed_by") REFERENCES "public"."customers"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "payments" ADD CONSTRAINT "payments_customer_id_customers_id_fk" FOREIGN KEY ("customer_id") REFERENCES "public"."customers"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "refunds" ADD CONSTRAINT "refunds_customer_id_customers_id_fk" FOREIGN KEY ("customer_id") REFERENCES "public"."customers"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "refunds" ADD CONSTRAINT "refunds_supplier_id_suppliers_id_fk" FOREIGN KEY ("supplier_id") REFERENCES "public"."suppliers"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "clusters_customer" ON "clusters" USING btree ("customer_id","created_at","id");--> statement-breakpoint
CREATE INDEX "inbound_unallocated" ON "inbound_transfers" USING btree ("source_owner") WHERE "inbound_transfers"."payment_id" IS NULL;--> statement-breakpoint
CREATE INDEX "payments_customer" ON "payments" USING btree ("customer_id","created_at","id");--> statement-breakpoint
CREATE INDEX "refunds_customer" ON "refunds" USING btree ("customer_id","created_at","id");--> statement-breakpoint
CREATE INDEX "refunds_supplier" ON "refunds" USING btree ("supplier_id","created_at","id");--> statement-breakpoint
CREATE INDEX "transfers_debit" ON "transfers" USING btree ("debit_account","id") WHERE "transfers"."debit_account" LIKE 'customer:acct%';--> statement-breakpoint
CREATE INDEX "transfers_credit" ON "transfers" USING btree ("credit_account","id") WHERE "transfers"."credit_account" LIKE 'customer:acct%';--> statement-breakpoint
CREATE INDEX "transfers_holds" ON "transfers" USING btree ("credit_account") WHERE "transfers"."kind" = 'pending';--> statement-breakpoint
ALTER TABLE "payments" ADD CONSTRAINT "payments_topup" CHECK (("payments"."purpose" = 'topup') = ("payments"."cluster_id" IS NULL));--> statement-breakpoint
ALTER TABLE "payments" ADD CONSTRAINT "payments_owner" CHECK ("payments"."cluster_id" IS NOT NULL OR "payments"."customer_id" IS NOT NULL);--> statement-breakpoint
ALTER TABLE "payments" ADD CONSTRAINT "payments_hold" CHECK (("payments"."purpose" = 'topup') = ("payments"."hold_transfer_id" IS NULL));--> statement-breakpoint
ALTER TABLE "payments" ADD CONSTRAINT "payments_on_chain" CHECK ("payments"."rail" NOT IN ('solana_pay', 'x402')
          OR ("payments"."recipient" IS NOT NULL AND "payments"."mint" IS NOT NULL AND "payments"."reference" IS NOT NULL));--> statement-breakpoint
ALTER TABLE "refunds" ADD CONSTRAINT "refunds_owner" CHECK (num_nonnulls("refunds"."cluster_id", "refunds"."customer_id", "refunds"."supplier_id") = 1);--> statement-breakpoint
ALTER TABLE "refunds" ADD CONSTRAINT "refunds_kind" CHECK (("refunds"."kind" = 'payout') = ("refunds"."supplier_id" IS NOT NULL));
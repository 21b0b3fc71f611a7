CREATE TABLE "accounts" (
	"id" text PRIMARY KEY NOT NULL,
	"kind" text NOT NULL,
	"limited" boolean NOT NULL,
	"debits_pending" bigint DEFAULT 0 NOT NULL,
	"debits_posted" bigint DEFAULT 0 NOT NULL,
	"credits_posted" bigint DEFAULT 0 NOT NULL,
	"created_at" bigint NOT NULL,
	CONSTRAINT "accounts_not_negative" CHECK (NOT "accounts"."limited" OR "accounts"."credits_posted" - "accounts"."debits_posted" - "accounts"."debits_pending" >= 0),
	CONSTRAINT "accounts_pending" CHECK ("accounts"."debits_pending" >= 0)
);
--> statement-breakpoint
CREATE TABLE "chain_cursors" (
	"name" text PRIMARY KEY NOT NULL,
	"signature" text NOT NULL,
	"slot" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "clusters" (
	"id" text PRIMARY KEY NOT NULL,
	"secret_hash" text NOT NULL,
	"caller_hash" text NOT NULL,
	"status" text NOT NULL,
	"status_reason" text,
	"quote_id" text NOT NULL,
	"quote" jsonb NOT NULL,
	"gpu" text NOT NULL,
	"gpus_per_node" integer NOT NULL,
	"duration_seconds" integer NOT NULL,
	"fee_bps" integer NOT NULL,
	"total_micro_usdc" bigint NOT NULL,
	"image" text,
	"startup_script" text,
	"env" jsonb NOT NULL,
	"name" text,
	"metadata" jsonb NOT NULL,
	"client_reference" text,
	"refund_address" text,
	"master_port" integer NOT NULL,
	"created_at" bigint NOT NULL,
	"paid_at" bigint,
	"ready_at" bigint,
	"ends_at" bigint,
	"metered_until" bigint,
	"stopped_at" bigint,
	"bill" jsonb,
	"event_sequence" integer DEFAULT 0 NOT NULL,
	CONSTRAINT "clusters_secret_hash_unique" UNIQUE("secret_hash"),
	CONSTRAINT "clusters_quote_id_unique" UNIQUE("quote_id"),
	CONSTRAINT "clusters_status" CHECK ("clusters"."status" IN ('awaiting_payment','provisioning','running','stopping','stopped','expired','failed')),
	CONSTRAINT "clusters_end" CHECK ("clusters"."status" <> 'running' OR ("clusters"."ready_at" IS NOT NULL AND "clusters"."ends_at" IS NOT NULL))
);
--> statement-breakpoint
CREATE TABLE "enrolment_tokens" (
	"token_hash" text PRIMARY KEY NOT NULL,
	"supplier_id" text NOT NULL,
	"expires_at" bigint NOT NULL,
	"node_id" text
);
--> statement-breakpoint
CREATE TABLE "events" (
	"cluster_id" text NOT NULL,
	"sequence" integer NOT NULL,
	"id" text NOT NULL,
	"type" text NOT NULL,
	"data" jsonb NOT NULL,
	"created_at" bigint NOT NULL,
	CONSTRAINT "events_cluster_id_sequence_pk" PRIMARY KEY("cluster_id","sequence"),
	CONSTRAINT "events_id_unique" UNIQUE("id")
);
--> statement-breakpoint
CREATE TABLE "execution_ranks" (
	"execution_id" text NOT NULL,
	"lease_id" text NOT NULL,
	"rank" integer NOT NULL,
	"exit_code" integer,
	"reason" text,
	"finished_at" bigint,
	CONSTRAINT "execution_ranks_execution_id_rank_pk" PRIMARY KEY("execution_id","rank")
);
--> statement-breakpoint
CREATE TABLE "executions" (
	"id" text PRIMARY KEY NOT NULL,
	"cluster_id" text NOT NULL,
	"idempotency_key" text NOT NULL,
	"fingerprint" text NOT NULL,
	"command" jsonb NOT NULL,
	"stdin" text,
	"env" jsonb NOT NULL,
	"created_at" bigint NOT NULL,
	"expires_at" bigint NOT NULL,
	CONSTRAINT "executions_key" UNIQUE("cluster_id","idempotency_key")
);
--> statement-breakpoint
CREATE TABLE "idempotency_keys" (
	"scope" text NOT NULL,
	"key" text NOT NULL,
	"fingerprint" text NOT NULL,
	"response" jsonb NOT NULL,
	"created_at" bigint NOT NULL,
	"expires_at" bigint NOT NULL,
	CONSTRAINT "idempotency_keys_scope_key_pk" PRIMARY KEY("scope","key")
);
--> statement-breakpoint
CREATE TABLE "inbound_transfers" (
	"signature" text NOT NULL,
	"transfer_index" integer NOT NULL,
	"slot" bigint NOT NULL,
	"source_owner" text,
	"amount_micro_usdc" bigint NOT NULL,
	"payment_id" text,
	"finality" text NOT NULL,
	"created_at" bigint NOT NULL,
	CONSTRAINT "inbound_transfers_signature_transfer_index_pk" PRIMARY KEY("signature","transfer_index")
);
--> statement-breakpoint
CREATE TABLE "lease_slots" (
	"node_id" text NOT NULL,
	"slot" integer NOT NULL,
	"lease_id" text NOT NULL,
	CONSTRAINT "lease_slots_node_id_slot_pk" PRIMARY KEY("node_id","slot")
);
--> statement-breakpoint
CREATE TABLE "leases" (
	"id" text PRIMARY KEY NOT NULL,
	"cluster_id" text NOT NULL,
	"rank" integer NOT NULL,
	"node_id" text NOT NULL,
	"gpus" integer NOT NULL,
	"slots" integer[] NOT NULL,
	"rate_micro_usdc_per_gpu_hour" bigint NOT NULL,
	"hostname" text NOT NULL,
	"desired" text NOT NULL,
	"observed" text DEFAULT 'none' NOT NULL,
	"observed_at" bigint,
	"reason" text,
	"exit_code" integer,
	"ready_at" bigint,
	"released_at" bigint,
	"ends_at" bigint,
	CONSTRAINT "leases_rank" UNIQUE("cluster_id","rank"),
	CONSTRAINT "leases_end" CHECK ("leases"."desired" <> 'running' OR "leases"."ends_at" IS NOT NULL)
);
--> statement-breakpoint
CREATE TABLE "node_sessions" (
	"node_id" text PRIMARY KEY NOT NULL,
	"last_seen_at" bigint NOT NULL,
	"heartbeat_counter" bigint DEFAULT 0 NOT NULL,
	"assignments_counter" bigint DEFAULT 0 NOT NULL,
	"report_counter" bigint DEFAULT 0 NOT NULL
);
--> statement-breakpoint
CREATE TABLE "nodes" (
	"id" text PRIMARY KEY NOT NULL,
	"supplier_id" text NOT NULL,
	"adapter" text NOT NULL,
	"public_key" text,
	"gpu" text NOT NULL,
	"gpus_total" integer NOT NULL,
	"gpus_free" integer NOT NULL,
	"price_micro_usdc_per_gpu_hour" bigint NOT NULL,
	"country" text NOT NULL,
	"region" text NOT NULL,
	"latitude" double precision NOT NULL,
	"longitude" double precision NOT NULL,
	"interconnect" text NOT NULL,
	"fabric" text,
	"reliability_ppm" integer NOT NULL,
	"isolation" text NOT NULL,
	"cpu_cores" integer NOT NULL,
	"memory_gib" integer NOT NULL,
	"disk_gib" integer NOT NULL,
	"status" text NOT NULL,
	"advertise_address" text,
	"created_at" bigint NOT NULL,
	"change_xid" bigint DEFAULT (pg_current_xact_id()::text)::bigint NOT NULL,
	CONSTRAINT "nodes_public_key_unique" UNIQUE("public_key"),
	CONSTRAINT "nodes_capacity" CHECK ("nodes"."gpus_free" >= 0 AND "nodes"."gpus_free" <= "nodes"."gpus_total"),
	CONSTRAINT "nodes_price" CHECK ("nodes"."price_micro_usdc_per_gpu_hour" >= 0)
);
--> statement-breakpoint
CREATE TABLE "output_chunks" (
	"cluster_id" text NOT NULL,
	"source" text NOT NULL,
	"rank" integer NOT NULL,
	"sequence" integer NOT NULL,
	"stream" text NOT NULL,
	"data" text NOT NULL,
	"encoding" text NOT NULL,
	"created_at" bigint NOT NULL,
	CONSTRAINT "output_chunks_cluster_id_source_rank_sequence_pk" PRIMARY KEY("cluster_id","source","rank","sequence")
);
--> statement-breakpoint
CREATE TABLE "payment_notices" (
	"payment_id" text NOT NULL,
	"code" text NOT NULL,
	"signature" text NOT NULL,
	"detail" text NOT NULL,
	"created_at" bigint NOT NULL,
	CONSTRAINT "payment_notices_payment_id_code_signature_pk" PRIMARY KEY("payment_id","code","signature")
);
--> statement-breakpoint
CREATE TABLE "payments" (
	"id" text PRIMARY KEY NOT NULL,
	"cluster_id" text NOT NULL,
	"purpose" text NOT NULL,
	"rail" text NOT NULL,
	"status" text NOT NULL,
	"amount_micro_usdc" bigint NOT NULL,
	"received_micro_usdc" bigint DEFAULT 0 NOT NULL,
	"hold_transfer_id" text NOT NULL,
	"recipient" text NOT NULL,
	"mint" text NOT NULL,
	"reference" text NOT NULL,
	"commitment" text NOT NULL,
	"extension_seconds" integer,
	"expires_at" bigint NOT NULL,
	"created_at" bigint NOT NULL,
	"settled_at" bigint,
	"scanned_until" text,
	CONSTRAINT "payments_reference_unique" UNIQUE("reference"),
	CONSTRAINT "payments_received" CHECK ("payments"."received_micro_usdc" >= 0)
);
--> statement-breakpoint
CREATE TABLE "refund_attempts" (
	"refund_id" text NOT NULL,
	"attempt" integer NOT NULL,
	"signature" text NOT NULL,
	"transaction_base64" text NOT NULL,
	"last_valid_block_height" bigint NOT NULL,
	"dead_at" bigint,
	"created_at" bigint NOT NULL,
	CONSTRAINT "refund_attempts_refund_id_attempt_pk" PRIMARY KEY("refund_id","attempt"),
	CONSTRAINT "refund_attempts_signature_unique" UNIQUE("signature")
);
--> statement-breakpoint
CREATE TABLE "refunds" (
	"id" text PRIMARY KEY NOT NULL,
	"cluster_id" text NOT NULL,
	"to_address" text NOT NULL,
	"amount_micro_usdc" bigint NOT NULL,
	"status" text NOT NULL,
	"signature" text,
	"created_at" bigint NOT NULL,
	"finalized_at" bigint,
	CONSTRAINT "refunds_amount" CHECK ("refunds"."amount_micro_usdc" > 0)
);
--> statement-breakpoint
CREATE TABLE "suppliers" (
	"id" text PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"class" text NOT NULL,
	"created_at" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "tasks" (
	"kind" text NOT NULL,
	"id" text NOT NULL,
	"due_at" bigint NOT NULL,
	"lock_token" text,
	"lock_owner" text,
	"lock_expires_at" bigint,
	"revision" integer DEFAULT 0 NOT NULL,
	"attempts" integer DEFAULT 0 NOT NULL,
	"last_error" text,
	"last_processed_at" bigint,
	CONSTRAINT "tasks_kind_id_pk" PRIMARY KEY("kind","id")
);
--> statement-breakpoint
CREATE TABLE "transfers" (
	"id" text PRIMARY KEY NOT NULL,
	"kind" text NOT NULL,
	"pending_id" text,
	"debit_account" text NOT NULL,
	"credit_account" text NOT NULL,
	"amount_micro_usdc" bigint NOT NULL,
	"timeout_at" bigint,
	"reason" text NOT NULL,
	"reference" text NOT NULL,
	"created_at" bigint NOT NULL,
	CONSTRAINT "transfers_amount" CHECK ("transfers"."amount_micro_usdc" > 0),
	CONSTRAINT "transfers_sides" CHECK ("transfers"."debit_account" <> "transfers"."credit_account"),
	CONSTRAINT "transfers_pending" CHECK (("transfers"."kind" IN ('fund','post','void')) = ("transfers"."pending_id" IS NOT NULL))
);
--> statement-breakpoint
ALTER TABLE "enrolment_tokens" ADD CONSTRAINT "enrolment_tokens_supplier_id_suppliers_id_fk" FOREIGN KEY ("supplier_id") REFERENCES "public"."suppliers"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "events" ADD CONSTRAINT "events_cluster_id_clusters_id_fk" FOREIGN KEY ("cluster_id") REFERENCES "public"."clusters"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "execution_ranks" ADD CONSTRAINT "execution_ranks_execution_id_executions_id_fk" FOREIGN KEY ("execution_id") REFERENCES "public"."executions"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "execution_ranks" ADD CONSTRAINT "execution_ranks_lease_id_leases_id_fk" FOREIGN KEY ("lease_id") REFERENCES "public"."leases"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "executions" ADD CONSTRAINT "executions_cluster_id_clusters_id_fk" FOREIGN KEY ("cluster_id") REFERENCES "public"."clusters"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "inbound_transfers" ADD CONSTRAINT "inbound_transfers_payment_id_payments_id_fk" FOREIGN KEY ("payment_id") REFERENCES "public"."payments"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "lease_slots" ADD CONSTRAINT "lease_slots_lease_id_leases_id_fk" FOREIGN KEY ("lease_id") REFERENCES "public"."leases"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "leases" ADD CONSTRAINT "leases_cluster_id_clusters_id_fk" FOREIGN KEY ("cluster_id") REFERENCES "public"."clusters"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "leases" ADD CONSTRAINT "leases_node_id_nodes_id_fk" FOREIGN KEY ("node_id") REFERENCES "public"."nodes"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "node_sessions" ADD CONSTRAINT "node_sessions_node_id_nodes_id_fk" FOREIGN KEY ("node_id") REFERENCES "public"."nodes"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "nodes" ADD CONSTRAINT "nodes_supplier_id_suppliers_id_fk" FOREIGN KEY ("supplier_id") REFERENCES "public"."suppliers"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "output_chunks" ADD CONSTRAINT "output_chunks_cluster_id_clusters_id_fk" FOREIGN KEY ("cluster_id") REFERENCES "public"."clusters"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "payment_notices" ADD CONSTRAINT "payment_notices_payment_id_payments_id_fk" FOREIGN KEY ("payment_id") REFERENCES "public"."payments"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "payments" ADD CONSTRAINT "payments_cluster_id_clusters_id_fk" FOREIGN KEY ("cluster_id") REFERENCES "public"."clusters"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "payments" ADD CONSTRAINT "payments_hold_transfer_id_transfers_id_fk" FOREIGN KEY ("hold_transfer_id") REFERENCES "public"."transfers"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "refund_attempts" ADD CONSTRAINT "refund_attempts_refund_id_refunds_id_fk" FOREIGN KEY ("refund_id") REFERENCES "public"."refunds"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "refunds" ADD CONSTRAINT "refunds_cluster_id_clusters_id_fk" FOREIGN KEY ("cluster_id") REFERENCES "public"."clusters"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "transfers" ADD CONSTRAINT "transfers_debit_account_accounts_id_fk" FOREIGN KEY ("debit_account") REFERENCES "public"."accounts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "transfers" ADD CONSTRAINT "transfers_credit_account_accounts_id_fk" FOREIGN KEY ("credit_account") REFERENCES "public"."accounts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "clusters_created" ON "clusters" USING btree ("created_at","id");--> statement-breakpoint
CREATE INDEX "clusters_unpaid" ON "clusters" USING btree ("caller_hash") WHERE "clusters"."status" = 'awaiting_payment';--> statement-breakpoint
CREATE INDEX "execution_ranks_open" ON "execution_ranks" USING btree ("lease_id") WHERE "execution_ranks"."finished_at" IS NULL;--> statement-breakpoint
CREATE INDEX "idempotency_expiry" ON "idempotency_keys" USING btree ("expires_at");--> statement-breakpoint
CREATE INDEX "inbound_payment" ON "inbound_transfers" USING btree ("payment_id");--> statement-breakpoint
CREATE INDEX "inbound_not_final" ON "inbound_transfers" USING btree ("created_at") WHERE "inbound_transfers"."finality" = 'confirmed';--> statement-breakpoint
CREATE INDEX "lease_slots_lease" ON "lease_slots" USING btree ("lease_id");--> statement-breakpoint
CREATE INDEX "leases_node_live" ON "leases" USING btree ("node_id") WHERE "leases"."released_at" IS NULL;--> statement-breakpoint
CREATE INDEX "nodes_change_xid" ON "nodes" USING btree ("change_xid");--> statement-breakpoint
CREATE INDEX "nodes_supplier" ON "nodes" USING btree ("supplier_id");--> statement-breakpoint
CREATE INDEX "payments_cluster" ON "payments" USING btree ("cluster_id");--> statement-breakpoint
CREATE UNIQUE INDEX "refund_attempts_one_alive" ON "refund_attempts" USING btree ("refund_id") WHERE "refund_attempts"."dead_at" IS NULL;--> statement-breakpoint
CREATE INDEX "refunds_cluster" ON "refunds" USING btree ("cluster_id");--> statement-breakpoint
CREATE INDEX "tasks_due" ON "tasks" USING btree ("due_at");--> statement-breakpoint
CREATE UNIQUE INDEX "transfers_funded_once" ON "transfers" USING btree ("pending_id") WHERE "transfers"."kind" = 'fund';--> statement-breakpoint
CREATE UNIQUE INDEX "transfers_resolved_once" ON "transfers" USING btree ("pending_id") WHERE "transfers"."kind" IN ('post', 'void');--> statement-breakpoint
CREATE UNIQUE INDEX "transfers_once" ON "transfers" USING btree ("reason","reference","debit_account","credit_account");
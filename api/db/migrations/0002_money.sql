ALTER TABLE "inbound_transfers" ADD COLUMN "late" boolean NOT NULL;--> statement-breakpoint
ALTER TABLE "inbound_transfers" ADD COLUMN "missing_since_slot" bigint;--> statement-breakpoint
CREATE INDEX "transfers_holds" ON "transfers" USING btree ("debit_account") WHERE "transfers"."kind" = 'pending';
CREATE TABLE "watches" (
	"name" text PRIMARY KEY NOT NULL,
	"since" bigint NOT NULL,
	"last_at" bigint NOT NULL
);
--> statement-breakpoint
ALTER TABLE "leases" ADD COLUMN "unseen_since" bigint;
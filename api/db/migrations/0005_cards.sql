ALTER TABLE "card_payments" DROP CONSTRAINT "card_payments_reversed";--> statement-breakpoint
ALTER TABLE "card_payments" ADD COLUMN "maturing_micro_usdc" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "card_payments" ADD COLUMN "contested_micro_usdc" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "card_payments" ADD COLUMN "loss_micro_usdc" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "card_payments" ADD COLUMN "revision" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "card_payments" ADD CONSTRAINT "card_payments_positions" CHECK ("card_payments"."maturing_micro_usdc" >= 0 AND "card_payments"."contested_micro_usdc" >= 0 AND "card_payments"."reversed_micro_usdc" >= 0
          AND "card_payments"."loss_micro_usdc" BETWEEN 0 AND "card_payments"."contested_micro_usdc" + "card_payments"."reversed_micro_usdc");--> statement-breakpoint
ALTER TABLE "card_payments" ADD CONSTRAINT "card_payments_paid" CHECK (("card_payments"."status" = 'paid') = ("card_payments"."available_at" IS NOT NULL));
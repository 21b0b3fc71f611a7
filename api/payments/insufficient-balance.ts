import { VolleyError } from "@volley/schema/errors";

export function insufficientBalance(): VolleyError {
  return new VolleyError("insufficient_balance", "The account's balance is lower than what this costs.", {
    nextAction: "See balance.get for what is available; top up with topups.create, or pay by another rail.",
  });
}

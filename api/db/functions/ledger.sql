-- The ledger's two-phase transfers, with TigerBeetle's semantics (two-phase transfers, linked events):
-- a hold is funded at most once and resolved at most once, and can't break the limit in its second phase.
-- SQLSTATEs of class VL are typed errors; see api/ledger/errors.ts.

-- Accounts of these kinds are only ever summed from transfers, so that no row is hot.
CREATE OR REPLACE FUNCTION ledger_is_summed(account_kind text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$ SELECT account_kind IN ('chain', 'card', 'revenue', 'unallocated', 'loss') $$;

CREATE OR REPLACE FUNCTION ledger_open(account_id text, account_kind text, now_ms bigint) RETURNS void
LANGUAGE sql AS $$
  INSERT INTO accounts (id, kind, limited, created_at)
  VALUES (account_id, account_kind, account_kind IN ('customer', 'escrow', 'refund', 'dispute', 'supplier'), now_ms)
  ON CONFLICT (id) DO NOTHING
$$;

-- Locks in id order, so that two transfers over the same accounts can't deadlock.
CREATE OR REPLACE FUNCTION ledger_lock(first_id text, second_id text) RETURNS void
LANGUAGE sql AS $$
  SELECT 1 FROM (
    SELECT id FROM accounts
    WHERE id IN (first_id, second_id) AND NOT ledger_is_summed(kind)
    ORDER BY id FOR NO KEY UPDATE
  ) AS locked
$$;

-- Moves money at once. False when the same cause has moved it before.
CREATE OR REPLACE FUNCTION ledger_post(
  transfer_id text, debit_id text, credit_id text, amount bigint, cause text, cause_reference text, now_ms bigint
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO transfers (id, kind, debit_account, credit_account, amount_micro_usdc, reason, reference, created_at)
  VALUES (transfer_id, 'posted', debit_id, credit_id, amount, cause, cause_reference, now_ms)
  ON CONFLICT (reason, reference, debit_account, credit_account) DO NOTHING;
  IF NOT FOUND THEN RETURN false; END IF;
  PERFORM ledger_lock(debit_id, credit_id);
  UPDATE accounts SET
    debits_posted = debits_posted + CASE WHEN id = debit_id THEN amount ELSE 0 END,
    credits_posted = credits_posted + CASE WHEN id = credit_id THEN amount ELSE 0 END
  WHERE id IN (debit_id, credit_id) AND NOT ledger_is_summed(kind);
  RETURN true;
END $$;

-- Declares a hold. It binds no money before it is funded.
CREATE OR REPLACE FUNCTION ledger_hold(
  transfer_id text, debit_id text, credit_id text, amount bigint, timeout_ms bigint,
  cause text, cause_reference text, now_ms bigint
) RETURNS void LANGUAGE sql AS $$
  INSERT INTO transfers
    (id, kind, debit_account, credit_account, amount_micro_usdc, timeout_at, reason, reference, created_at)
  VALUES (transfer_id, 'pending', debit_id, credit_id, amount, timeout_ms, cause, cause_reference, now_ms)
$$;

CREATE OR REPLACE FUNCTION ledger_pending(hold_id text) RETURNS transfers LANGUAGE plpgsql AS $$
DECLARE hold transfers;
BEGIN
  SELECT * INTO hold FROM transfers WHERE id = hold_id AND kind = 'pending' FOR UPDATE;
  IF NOT FOUND THEN RAISE EXCEPTION 'hold_not_found' USING ERRCODE = 'VL001', DETAIL = hold_id; END IF;
  RETURN hold;
END $$;

-- A hold ends once: posted, voided, or, where its money never came in its time, expired.
CREATE OR REPLACE FUNCTION ledger_require_open(hold transfers) RETURNS void LANGUAGE plpgsql AS $$
DECLARE resolution transfers;
BEGIN
  SELECT * INTO resolution FROM transfers WHERE pending_id = hold.id AND kind IN ('post', 'void');
  IF NOT FOUND THEN RETURN; END IF;
  IF resolution.kind = 'post' THEN
    RAISE EXCEPTION 'hold_already_posted' USING ERRCODE = 'VL002', DETAIL = hold.id;
  END IF;
  IF resolution.created_at >= hold.timeout_at
     AND NOT EXISTS (SELECT 1 FROM transfers WHERE pending_id = hold.id AND kind = 'fund') THEN
    RAISE EXCEPTION 'hold_expired' USING ERRCODE = 'VL006', DETAIL = hold.id;
  END IF;
  RAISE EXCEPTION 'hold_already_voided' USING ERRCODE = 'VL005', DETAIL = hold.id;
END $$;

-- Binds the hold's amount of the debit account's money; the account's CHECK refuses if it isn't there.
CREATE OR REPLACE FUNCTION ledger_fund(transfer_id text, hold_id text, now_ms bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE hold transfers;
BEGIN
  hold := ledger_pending(hold_id);
  PERFORM ledger_require_open(hold);
  INSERT INTO transfers
    (id, kind, pending_id, debit_account, credit_account, amount_micro_usdc, reason, reference, created_at)
  VALUES (transfer_id, 'fund', hold_id, hold.debit_account, hold.credit_account, hold.amount_micro_usdc,
          'fund', hold_id, now_ms);
  UPDATE accounts SET debits_pending = debits_pending + hold.amount_micro_usdc WHERE id = hold.debit_account;
END $$;

-- Ends a hold: posts `amount` of it and frees the rest; an amount of 0 voids it.
CREATE OR REPLACE FUNCTION ledger_resolve(transfer_id text, hold_id text, amount bigint, now_ms bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  hold transfers;
  funded boolean;
BEGIN
  hold := ledger_pending(hold_id);
  PERFORM ledger_require_open(hold);
  IF amount < 0 OR amount > hold.amount_micro_usdc THEN
    RAISE EXCEPTION 'amount_exceeds_hold' USING ERRCODE = 'VL003', DETAIL = hold_id;
  END IF;
  funded := EXISTS (SELECT 1 FROM transfers WHERE pending_id = hold_id AND kind = 'fund');
  IF amount > 0 AND NOT funded THEN
    RAISE EXCEPTION 'hold_not_funded' USING ERRCODE = 'VL004', DETAIL = hold_id;
  END IF;
  INSERT INTO transfers
    (id, kind, pending_id, debit_account, credit_account, amount_micro_usdc, reason, reference, created_at)
  VALUES (transfer_id, CASE WHEN amount > 0 THEN 'post' ELSE 'void' END, hold_id, hold.debit_account,
          hold.credit_account, CASE WHEN amount > 0 THEN amount ELSE hold.amount_micro_usdc END,
          'resolve', hold_id, now_ms);
  IF funded THEN
    PERFORM ledger_lock(hold.debit_account, hold.credit_account);
    UPDATE accounts SET
      debits_pending = debits_pending - CASE WHEN id = hold.debit_account THEN hold.amount_micro_usdc ELSE 0 END,
      debits_posted = debits_posted + CASE WHEN id = hold.debit_account THEN amount ELSE 0 END,
      credits_posted = credits_posted + CASE WHEN id = hold.credit_account THEN amount ELSE 0 END
    WHERE id IN (hold.debit_account, hold.credit_account) AND NOT ledger_is_summed(kind);
  END IF;
END $$;

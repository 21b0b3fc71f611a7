-- The whole reservation in one round trip: idempotency record, quote used once, capacity of every machine
-- of the gang, hold, payment, event and the tasks that follow. All or nothing: any fault raises.
-- A repeated request gets its answer whatever has become of the quote since, so the key is looked at first.
-- SQLSTATEs: VR001 quote_used, VR002 capacity_gone (DETAIL: the machines that are short), VR003 holds_exceeded,
-- VR004 quote_expired, VR005 session_unknown, VR006 account_frozen (DETAIL: why), VR007 payment_used,
-- VR008 chain_closed. A balance that is too low breaks the ledger's constraint accounts_not_negative.
CREATE OR REPLACE FUNCTION reserve_cluster(request jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  now_ms bigint := (request->>'now_ms')::bigint;
  cluster jsonb := request->'cluster';
  payment jsonb := request->'payment';
  leases_wanted jsonb := request->'leases';
  new_cluster_id text := cluster->>'id';
  holds_max integer := (request->>'holds_max')::integer;
  held_gpus_max integer := (request->>'held_gpus_per_caller_max')::integer;
  held_gpus integer;
  stored idempotency_keys;
  payer customers;
  -- From a balance it is paid at once, or all of this fails.
  paid boolean := request->'payment'->>'rail' = 'balance';
  holder text := 'customer:' || (request->'cluster'->>'id');
  claim record;
  short text[];
  lease record;
  chosen integer[];
BEGIN
  INSERT INTO idempotency_keys (scope, key, fingerprint, response, created_at, expires_at)
  VALUES (request->>'scope', request->>'key', request->>'fingerprint', request->'response', now_ms,
          (request->>'key_expires_at')::bigint)
  ON CONFLICT (scope, key) DO UPDATE SET
    fingerprint = EXCLUDED.fingerprint, response = EXCLUDED.response,
    created_at = EXCLUDED.created_at, expires_at = EXCLUDED.expires_at
  WHERE idempotency_keys.expires_at <= EXCLUDED.created_at;
  IF NOT FOUND THEN
    SELECT * INTO stored FROM idempotency_keys WHERE scope = request->>'scope' AND key = request->>'key';
    IF stored.fingerprint IS DISTINCT FROM request->>'fingerprint' THEN
      RETURN jsonb_build_object('outcome', 'mismatch');
    END IF;
    RETURN jsonb_build_object('outcome', 'replayed', 'response', stored.response);
  END IF;

  IF request->>'session_hash' IS NOT NULL THEN
    SELECT customers.* INTO payer FROM sessions JOIN customers ON customers.id = sessions.customer_id
    WHERE sessions.token_hash = request->>'session_hash' AND sessions.expires_at > now_ms;
    IF NOT FOUND THEN RAISE EXCEPTION 'session_unknown' USING ERRCODE = 'VR005'; END IF;
    IF payer.frozen_at IS NOT NULL THEN
      RAISE EXCEPTION 'account_frozen' USING ERRCODE = 'VR006', DETAIL = coalesce(payer.frozen_reason, '');
    END IF;
  END IF;

  INSERT INTO clusters
    (id, secret_hash, customer_id, caller_hash, status, quote_id, quote, gpu, gpus_per_node, duration_seconds, fee_bps,
     total_micro_usdc, image, startup_script, env, name, metadata, client_reference, refund_address, master_port,
     created_at, paid_at, event_sequence)
  VALUES
    (new_cluster_id, cluster->>'secret_hash', payer.id, cluster->>'caller_hash', CASE WHEN paid THEN 'provisioning' ELSE 'awaiting_payment' END, cluster->>'quote_id',
     cluster->'quote', cluster->>'gpu', (cluster->>'gpus_per_node')::integer,
     (cluster->>'duration_seconds')::integer, (cluster->>'fee_bps')::integer,
     (cluster->>'total_micro_usdc')::bigint, cluster->>'image', cluster->>'startup_script', cluster->'env',
     cluster->>'name', cluster->'metadata', cluster->>'client_reference', cluster->>'refund_address',
     (cluster->>'master_port')::integer, now_ms, CASE WHEN paid THEN now_ms END, 1)
  ON CONFLICT (quote_id) DO NOTHING;
  IF NOT FOUND THEN
    -- The same request, repeated from another network address or by another session of the account, finds its record
    -- through the cluster that it made.
    SELECT idempotency_keys.* INTO stored FROM clusters
    JOIN idempotency_keys ON idempotency_keys.scope IN (
        SELECT (request->>'scope_prefix') || clusters.caller_hash
        UNION ALL
        SELECT (request->>'scope_prefix') || sessions.token_hash FROM sessions
        WHERE sessions.customer_id = clusters.customer_id AND clusters.customer_id = payer.id)
      AND idempotency_keys.key = request->>'key' AND idempotency_keys.fingerprint = request->>'fingerprint'
      AND idempotency_keys.scope <> request->>'scope'
    WHERE clusters.quote_id = cluster->>'quote_id';
    IF NOT FOUND THEN RAISE EXCEPTION 'quote_used' USING ERRCODE = 'VR001'; END IF;
    DELETE FROM idempotency_keys WHERE scope = request->>'scope' AND key = request->>'key';
    RETURN jsonb_build_object('outcome', 'replayed', 'response', stored.response);
  END IF;

  IF (request->>'quote_expires_at')::bigint <= now_ms THEN
    RAISE EXCEPTION 'quote_expired' USING ERRCODE = 'VR004';
  END IF;
  -- Nobody is asked to send money where it would be stuck.
  IF NOT paid AND EXISTS (SELECT 1 FROM alarms WHERE name = 'treasury_account_unusable') THEN
    RAISE EXCEPTION 'chain_closed' USING ERRCODE = 'VR008';
  END IF;
  -- Who comes from one address comes one by one, or all of them would see too little of each other.
  IF holds_max IS NOT NULL OR held_gpus_max IS NOT NULL THEN
    PERFORM pg_advisory_xact_lock(hashtextextended('holds:' || (cluster->>'caller_hash'), 0));
  END IF;
  -- A caller who holds nothing of the model yet may take one gang of any size.
  IF held_gpus_max IS NOT NULL THEN
    SELECT sum(leases.gpus) INTO held_gpus FROM clusters JOIN leases ON leases.cluster_id = clusters.id
    WHERE clusters.caller_hash = cluster->>'caller_hash' AND clusters.status = 'awaiting_payment'
      AND clusters.gpu = cluster->>'gpu';
    IF held_gpus + jsonb_array_length(leases_wanted) * (cluster->>'gpus_per_node')::integer > held_gpus_max THEN
      RAISE EXCEPTION 'holds_exceeded' USING ERRCODE = 'VR003', DETAIL = 'gpus';
    END IF;
  END IF;
  -- Of this caller's unpaid reservations the new one counts too. Absent: no limit.
  IF holds_max IS NOT NULL AND (
    SELECT count(*) FROM clusters WHERE caller_hash = cluster->>'caller_hash' AND status = 'awaiting_payment'
  ) > holds_max THEN
    RAISE EXCEPTION 'holds_exceeded' USING ERRCODE = 'VR003';
  END IF;

  -- In id order, so that two gangs over the same machines can't deadlock; one by one, so that each is found through
  -- its key and never by reading the network.
  FOR claim IN
    SELECT wanted->>'node_id' AS node_id, sum((wanted->>'gpus')::integer)::integer AS gpus
    FROM jsonb_array_elements(leases_wanted) AS wanted GROUP BY 1 ORDER BY 1
  LOOP
    UPDATE nodes SET gpus_free = gpus_free - claim.gpus, change_xid = (pg_current_xact_id()::text)::bigint
    WHERE id = claim.node_id AND gpus_free >= claim.gpus AND status = 'online';
    IF NOT FOUND THEN short := array_append(short, claim.node_id); END IF;
  END LOOP;
  IF short IS NOT NULL THEN
    RAISE EXCEPTION 'capacity_gone' USING ERRCODE = 'VR002', DETAIL = array_to_string(short, ',');
  END IF;

  -- Each statement's snapshot is taken after the machines' locks, so it sees every slot that is taken.
  FOR lease IN
    SELECT * FROM jsonb_to_recordset(leases_wanted)
      AS wanted(id text, rank integer, node_id text, gpus integer, rate_micro_usdc_per_gpu_hour bigint, hostname text)
  LOOP
    chosen := ARRAY(
      SELECT unused.slot FROM (
        SELECT generate_series(0, (SELECT gpus_total FROM nodes WHERE id = lease.node_id) - 1) AS slot
        EXCEPT SELECT taken.slot FROM lease_slots AS taken WHERE taken.node_id = lease.node_id
      ) AS unused ORDER BY unused.slot LIMIT lease.gpus
    );
    IF cardinality(chosen) <> lease.gpus THEN
      RAISE EXCEPTION 'slots and free capacity disagree' USING ERRCODE = 'XX001', DETAIL = lease.node_id;
    END IF;
    INSERT INTO leases
      (id, cluster_id, rank, node_id, gpus, slots, rate_micro_usdc_per_gpu_hour, hostname, desired)
    VALUES
      (lease.id, new_cluster_id, lease.rank, lease.node_id, lease.gpus, chosen,
       lease.rate_micro_usdc_per_gpu_hour, lease.hostname, 'reserved');
    INSERT INTO lease_slots (node_id, slot, lease_id) SELECT lease.node_id, unnest(chosen), lease.id;
  END LOOP;

  IF paid THEN holder := 'customer:' || payer.id; END IF;
  PERFORM ledger_open('customer:' || new_cluster_id, 'customer', now_ms);
  PERFORM ledger_open(holder, 'customer', now_ms);
  PERFORM ledger_open('escrow:' || new_cluster_id, 'escrow', now_ms);
  PERFORM ledger_hold(payment->>'hold_transfer_id', holder, 'escrow:' || new_cluster_id,
    (payment->>'amount_micro_usdc')::bigint, (payment->>'expires_at')::bigint, 'hold', payment->>'id', now_ms);
  INSERT INTO payments
    (id, cluster_id, customer_id, purpose, rail, status, amount_micro_usdc, received_micro_usdc, hold_transfer_id,
     recipient, mint, reference, commitment, expires_at, created_at, settled_at)
  VALUES
    (payment->>'id', new_cluster_id, payer.id, 'reserve', payment->>'rail', CASE WHEN paid THEN 'settled' ELSE 'pending' END,
     (payment->>'amount_micro_usdc')::bigint,
     CASE WHEN paid THEN (payment->>'amount_micro_usdc')::bigint ELSE 0 END,
     payment->>'hold_transfer_id', payment->>'recipient', payment->>'mint', payment->>'reference',
     payment->>'commitment', (payment->>'expires_at')::bigint, now_ms,
     CASE WHEN paid THEN now_ms END);

  -- The claim of a payment that was sent along: one signed message buys one cluster.
  IF request->'sponsored' IS NOT NULL THEN
    INSERT INTO sponsored_transactions
      (id, purpose, payment_id, transaction_base64, payer_signature, status, last_valid_block_height, created_at)
    VALUES
      (request->'sponsored'->>'id', 'x402', payment->>'id', request->'sponsored'->>'transaction_base64',
       request->'sponsored'->>'payer_signature', 'requested',
       (request->'sponsored'->>'last_valid_block_height')::bigint, now_ms)
    ON CONFLICT (id) DO NOTHING;
    IF NOT FOUND THEN RAISE EXCEPTION 'payment_used' USING ERRCODE = 'VR007'; END IF;
    INSERT INTO tasks (kind, id, due_at) VALUES ('sponsor', request->'sponsored'->>'id', now_ms);
  END IF;

  INSERT INTO events (cluster_id, sequence, id, type, data, created_at)
  VALUES (new_cluster_id, 1, request->>'event_id', 'cluster.reserved', request->'event_data', now_ms);
  IF paid THEN
    PERFORM ledger_fund(payment->>'fund_transfer_id', payment->>'hold_transfer_id', now_ms);
    PERFORM append_event(new_cluster_id, request->>'paid_event_id', 'cluster.paid',
      jsonb_build_object('payment_id', payment->>'id'), now_ms);
    INSERT INTO tasks (kind, id, due_at) VALUES ('cluster', new_cluster_id, now_ms);
  ELSE
    INSERT INTO tasks (kind, id, due_at) VALUES
      ('cluster', new_cluster_id, (payment->>'expires_at')::bigint),
      ('payment', payment->>'id', now_ms);
  END IF;
  RETURN jsonb_build_object('outcome', 'reserved');
END $$;

-- Gives the capacity of these leases back, once each; the machines in id order, as above.
CREATE OR REPLACE FUNCTION release_leases(lease_ids text[], now_ms bigint) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  machine record;
  freed record;
  released integer := 0;
BEGIN
  FOR machine IN
    SELECT node_id FROM leases WHERE id = ANY(lease_ids) AND released_at IS NULL GROUP BY 1 ORDER BY 1
  LOOP
    PERFORM 1 FROM nodes WHERE id = machine.node_id FOR NO KEY UPDATE;
    WITH ended AS (
      UPDATE leases SET released_at = now_ms
      WHERE id = ANY(lease_ids) AND node_id = machine.node_id AND released_at IS NULL
      RETURNING id, gpus
    ), removed AS (
      DELETE FROM lease_slots WHERE lease_id IN (SELECT id FROM ended)
    )
    SELECT count(*) AS leases, coalesce(sum(gpus), 0) AS gpus INTO freed FROM ended;
    UPDATE nodes SET gpus_free = gpus_free + freed.gpus, change_xid = (pg_current_xact_id()::text)::bigint
    WHERE id = machine.node_id AND freed.gpus > 0;
    released := released + freed.leases;
  END LOOP;
  RETURN released;
END $$;

-- Makes a task due by `due_ms` at the latest. A wake-up that comes while the task is leased is not lost:
-- the revision differs from the one that was leased, so the task is due again at once.
CREATE OR REPLACE FUNCTION wake(task_kind text, task_id text, due_ms bigint) RETURNS void
LANGUAGE sql AS $$
  INSERT INTO tasks (kind, id, due_at) VALUES (task_kind, task_id, due_ms)
  ON CONFLICT (kind, id) DO UPDATE
  SET due_at = LEAST(tasks.due_at, EXCLUDED.due_at), revision = tasks.revision + 1
$$;

-- Numbers events per cluster under the cluster's row lock, so that readers never see a gap filled later.
CREATE OR REPLACE FUNCTION append_event(
  event_cluster_id text, event_id text, event_type text, event_data jsonb, now_ms bigint
) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE number integer;
BEGIN
  UPDATE clusters SET event_sequence = event_sequence + 1 WHERE id = event_cluster_id
  RETURNING event_sequence INTO number;
  INSERT INTO events (cluster_id, sequence, id, type, data, created_at)
  VALUES (event_cluster_id, number, event_id, event_type, event_data, now_ms);
  RETURN number;
END $$;

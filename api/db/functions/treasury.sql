-- What the treasury has signed counts against its limits, so it is written once and never changed. Where there is a role
-- volley_treasury, only its members write it (docs/money.md): the API's own role then can't use up or free a limit.
-- SQLSTATEs: VT001 append-only, VT002 not the treasury.
CREATE OR REPLACE FUNCTION treasury_signings_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP <> 'INSERT' THEN
    RAISE EXCEPTION 'treasury_signings is append-only' USING ERRCODE = 'VT001';
  END IF;
  IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'volley_treasury')
     AND NOT pg_has_role(current_user, 'volley_treasury', 'USAGE') THEN
    RAISE EXCEPTION '% is not the treasury', current_user USING ERRCODE = 'VT002';
  END IF;
  RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER treasury_signings_guard BEFORE INSERT OR UPDATE OR DELETE ON treasury_signings
FOR EACH ROW EXECUTE FUNCTION treasury_signings_guard();

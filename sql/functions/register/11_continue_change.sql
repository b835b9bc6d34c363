-- Let what this transaction writes belong to a change opened before: the next chunk of an import.
CREATE OR REPLACE FUNCTION register.continue_change(p_change_id bigint) RETURNS void
LANGUAGE sql VOLATILE SET search_path = pg_catalog AS $$
SELECT set_config('register.change_id', p_change_id::text, TRUE);
$$;

-- The version that a record gets when it is written anew: after its last one, if it was removed.
CREATE OR REPLACE FUNCTION register.new_version(p_kind text, p_record_id uuid) RETURNS integer
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
SELECT 1 + coalesce((
    SELECT max(h.version) FROM register.history AS h
    WHERE h.kind = p_kind AND h.record_id = p_record_id
), 0);
$$;
REVOKE ALL ON FUNCTION register.new_version(text, uuid) FROM public, spk_register;

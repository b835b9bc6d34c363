-- A record as it is now; no row when there is none.
CREATE OR REPLACE FUNCTION register.one_record(p_kind text, p_record_id uuid)
RETURNS TABLE (
    kind text, record_id uuid, version integer, change_id bigint, recorded_at timestamptz,
    citizen_id uuid, household_id uuid, body jsonb
)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $$
DECLARE
    one register.record_kind;
BEGIN
    SELECT k.* INTO one FROM register.record_kind AS k WHERE k.kind = p_kind;
    RETURN QUERY EXECUTE format(
        'SELECT $1, t.%2$I, t.version, t.change_id, t.recorded_at,'
        ' (b.body ->> ''citizen_id'')::uuid, (b.body ->> ''household_id'')::uuid, b.body'
        ' FROM register.%1$I AS t CROSS JOIN LATERAL to_jsonb(t) AS b (body) WHERE t.%2$I = $2',
        one.table_name, one.key_column
    ) USING p_kind, p_record_id;
END
$$;
REVOKE ALL ON FUNCTION register.one_record(text, uuid) FROM public, spk_register;

-- A record as somebody who will change it looks at it; the read is logged.
CREATE OR REPLACE FUNCTION register.read_record(
    p_kind text, p_record_id uuid, p_by text, p_purpose text
) RETURNS TABLE (version integer, body jsonb)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    PERFORM register.log_read(
        p_by, p_purpose, 'file',
        ARRAY(SELECT r.citizen_id FROM register.one_record(p_kind, p_record_id) AS r
            WHERE r.citizen_id IS NOT NULL),
        ARRAY(SELECT r.household_id FROM register.one_record(p_kind, p_record_id) AS r
            WHERE r.citizen_id IS NULL AND r.household_id IS NOT NULL),
        ARRAY[p_kind]
    );
    RETURN QUERY SELECT r.version, r.body FROM register.one_record(p_kind, p_record_id) AS r;
END
$$;
REVOKE ALL ON FUNCTION register.read_record(text, uuid, text, text) FROM public;

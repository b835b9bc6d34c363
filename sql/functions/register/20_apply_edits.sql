-- Write edits as part of the change that this transaction has opened: all of them, or none.
-- Removals come first and references are checked at the end, so that a change may free a number
-- that it gives to another record, and move rows to a record that it makes.
-- Raises exclusion_violation named `changed_meanwhile` when a record is not at the version that was
-- looked at, and whatever rule of the register is broken (processing.register.rules).
CREATE OR REPLACE FUNCTION register.apply_edits(p_edits register.edit[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    one register.record_kind;
    cols text;
    wanted bigint;
    written bigint;
BEGIN
    SET CONSTRAINTS ALL DEFERRED;
    FOR one IN
        SELECT k.* FROM register.record_kind AS k
        WHERE k.kind IN (SELECT e.kind FROM unnest(p_edits) AS e WHERE e.body IS NULL)
        ORDER BY k.rank DESC
    LOOP
        SELECT count(*) INTO wanted FROM unnest(p_edits) AS e
        WHERE e.kind = one.kind AND e.body IS NULL;
        EXECUTE format(
            'DELETE FROM register.%1$I AS t USING unnest($1) AS e'
            ' WHERE e.kind = $2 AND e.body IS NULL'
            ' AND t.%2$I = e.record_id AND t.version = e.base_version',
            one.table_name, one.key_column
        ) USING p_edits, one.kind;
        GET DIAGNOSTICS written = ROW_COUNT;
        PERFORM register.require_all(one.kind, wanted, written);
    END LOOP;
    FOR one IN
        SELECT k.* FROM register.record_kind AS k
        WHERE k.kind IN (SELECT e.kind FROM unnest(p_edits) AS e WHERE e.body IS NOT NULL)
        ORDER BY k.rank
    LOOP
        cols := register.table_columns(one.table_name, '');
        SELECT count(*) INTO wanted FROM unnest(p_edits) AS e
        WHERE e.kind = one.kind AND e.body IS NOT NULL AND e.base_version > 0;
        EXECUTE format(
            'UPDATE register.%1$I AS t SET (%3$s) ='
            ' (SELECT %4$s FROM jsonb_populate_record(t, e.body) AS r)'
            ' FROM unnest($1) AS e WHERE e.kind = $2 AND e.body IS NOT NULL'
            ' AND t.%2$I = e.record_id AND t.version = e.base_version',
            one.table_name, one.key_column, cols,
            register.table_columns(one.table_name, 'r.')
        ) USING p_edits, one.kind;
        GET DIAGNOSTICS written = ROW_COUNT;
        PERFORM register.require_all(one.kind, wanted, written);
        EXECUTE format(
            'INSERT INTO register.%1$I (%3$s) SELECT %4$s FROM unnest($1) AS e'
            ' CROSS JOIN LATERAL jsonb_populate_record(NULL::register.%1$I,'
            ' $3 || jsonb_strip_nulls(e.body) || jsonb_build_object(%2$L, e.record_id,'
            ' ''version'', register.new_version(e.kind, e.record_id))) AS r'
            ' WHERE e.kind = $2 AND e.body IS NOT NULL AND e.base_version = 0',
            one.table_name, one.key_column, cols,
            register.table_columns(one.table_name, 'r.')
        ) USING p_edits, one.kind, register.own_region(one.kind);
    END LOOP;
    SET CONSTRAINTS ALL IMMEDIATE;
END
$$;
REVOKE ALL ON FUNCTION register.apply_edits(register.edit[]) FROM public, spk_register;

-- Raise unless as many records were written as meant.
CREATE OR REPLACE FUNCTION register.require_all(
    p_kind text, p_wanted bigint, p_written bigint
) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF p_written <> p_wanted THEN
        RAISE EXCEPTION '%: % of % records are not at the version that was looked at',
            p_kind, p_wanted - p_written, p_wanted
            USING ERRCODE = 'exclusion_violation', CONSTRAINT = 'changed_meanwhile';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION register.require_all(text, bigint, bigint) FROM public, spk_register;

-- The region that a citizen or household gets when none is given: the centre's, where it has one.
CREATE OR REPLACE FUNCTION register.own_region(p_kind text) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
SELECT CASE WHEN p_kind IN ('citizen', 'household') AND count(*) = 1
    THEN jsonb_build_object('region', min(r.region)) ELSE '{}'::jsonb END
FROM regulations.region AS r;
$$;
REVOKE ALL ON FUNCTION register.own_region(text) FROM public, spk_register;

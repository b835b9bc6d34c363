-- Restore, in the change that this transaction has opened, what a change found: what it removed
-- comes back, what it changed gets its former version, what it created goes. Raises
-- exclusion_violation named `later_change` when a later change stands on one of its records.
CREATE OR REPLACE FUNCTION register.take_back(p_change_id bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    one register.record_kind;
    cols text;
BEGIN
    IF EXISTS (SELECT FROM register.standing_upon(p_change_id)) THEN
        RAISE EXCEPTION 'later changes stand upon change %', p_change_id
            USING ERRCODE = 'exclusion_violation', CONSTRAINT = 'later_change';
    END IF;
    SET CONSTRAINTS ALL DEFERRED;
    FOR one IN SELECT k.* FROM register.record_kind AS k ORDER BY k.rank DESC LOOP
        EXECUTE format(
            'DELETE FROM register.%1$I AS t WHERE t.change_id = $1 AND NOT EXISTS ('
            'SELECT FROM register.history AS h'
            ' WHERE h.kind = $2 AND h.record_id = t.%2$I AND h.ended_by = $1)',
            one.table_name, one.key_column
        ) USING p_change_id, one.kind;
    END LOOP;
    FOR one IN
        SELECT k.* FROM register.record_kind AS k
        WHERE k.kind IN (SELECT h.kind FROM register.history AS h WHERE h.ended_by = p_change_id)
        ORDER BY k.rank
    LOOP
        cols := register.table_columns(one.table_name, '');
        EXECUTE format(
            'UPDATE register.%1$I AS t SET (%3$s) ='
            ' (SELECT %4$s FROM jsonb_populate_record(t, h.body) AS r)'
            ' FROM register.history AS h WHERE h.ended_by = $1 AND h.kind = $2'
            ' AND t.%2$I = h.record_id AND t.change_id = $1',
            one.table_name, one.key_column, cols,
            register.table_columns(one.table_name, 'r.')
        ) USING p_change_id, one.kind;
        EXECUTE format(
            'INSERT INTO register.%1$I (%3$s) SELECT %4$s FROM register.history AS h'
            ' CROSS JOIN LATERAL jsonb_populate_record(NULL::register.%1$I,'
            ' h.body || jsonb_build_object(''version'', h.version + 1)) AS r'
            ' WHERE h.ended_by = $1 AND h.kind = $2 AND NOT EXISTS ('
            'SELECT FROM register.%1$I AS t WHERE t.%2$I = h.record_id)',
            one.table_name, one.key_column, cols,
            register.table_columns(one.table_name, 'r.')
        ) USING p_change_id, one.kind;
    END LOOP;
    SET CONSTRAINTS ALL IMMEDIATE;
END
$$;
REVOKE ALL ON FUNCTION register.take_back(bigint) FROM public, spk_register;

-- The records on which a change cannot be taken back, each with the first later change of it: one
-- that superseded or removed the version that this change made, or that brought back a record
-- which it removed.
CREATE OR REPLACE FUNCTION register.standing_upon(p_change_id bigint)
RETURNS TABLE (kind text, record_id uuid, change_id bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $$
DECLARE
    one register.record_kind;
BEGIN
    RETURN QUERY
    SELECT h.kind, h.record_id, h.ended_by
    FROM register.history AS h
    WHERE h.change_id = p_change_id AND h.ended_by <> p_change_id
    UNION
    SELECT h.kind, h.record_id, n.change_id
    FROM register.history AS h
    INNER JOIN register.history AS n ON h.kind = n.kind AND h.record_id = n.record_id
    WHERE h.ended_by = p_change_id AND n.version = h.version + 1 AND n.change_id <> p_change_id;
    FOR one IN
        SELECT k.* FROM register.record_kind AS k
        WHERE k.kind IN (SELECT h.kind FROM register.history AS h WHERE h.ended_by = p_change_id)
    LOOP
        RETURN QUERY EXECUTE format(
            'SELECT h.kind, h.record_id, t.change_id FROM register.history AS h'
            ' INNER JOIN register.%1$I AS t ON h.record_id = t.%2$I AND t.version = h.version + 1'
            ' WHERE h.ended_by = $1 AND h.kind = $2 AND t.change_id <> $1',
            one.table_name, one.key_column
        ) USING p_change_id, one.kind;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION register.standing_upon(bigint) FROM public, spk_register;

-- The columns of a kind's table that an import may set.
CREATE OR REPLACE FUNCTION register.import_columns(p_kind text)
RETURNS TABLE (column_name text, is_required boolean)
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
SELECT a.attname::text, a.attnotnull
FROM register.record_kind AS k
INNER JOIN pg_attribute AS a
    ON a.attrelid = format('register.%I', k.table_name)::regclass
WHERE
    k.kind = p_kind
    AND a.attnum > 0
    AND NOT a.attisdropped
    AND a.attgenerated = ''
    AND a.attname NOT IN (k.key_column, 'version', 'change_id', 'recorded_at')
ORDER BY a.attnum;
$$;

-- What a new record has where the file says nothing: the region, if there is only one.
CREATE OR REPLACE FUNCTION register.import_defaults(p_kind text) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
SELECT CASE
    WHEN
        (SELECT count(*) FROM regulations.region) = 1
        AND EXISTS (
            SELECT FROM register.import_columns(p_kind) AS c WHERE c.column_name = 'region'
        )
        THEN jsonb_build_object('region', (SELECT r.region FROM regulations.region AS r))
    ELSE '{}'::jsonb
END;
$$;

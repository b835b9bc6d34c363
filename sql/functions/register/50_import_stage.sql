-- Lay the sound rows of a chunk out in the temporary table `staged`, with what they refer to looked
-- up; a row is taken for a new record until it is found to be about a known one. A row that refers
-- to nobody known is rejected at once, its `field` the column in question.
CREATE OR REPLACE FUNCTION register.import_stage(
    p_kind text, p_lines integer[], p_keys text[], p_bodies text[], p_named text[]
) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    joins text;
    found_keys text;
    unknown text;
    table_name text;
    defaults jsonb;
    -- a new key's first half, of the shape of UUIDv7 (RFC 9562): the time, then chance
    new_id CONSTANT text := overlay(
        lpad(to_hex((extract(EPOCH FROM clock_timestamp()) * 1000)::bigint), 12, '0')
        PLACING '-' FROM 9 FOR 0
    ) || '-7';
BEGIN
    SELECT
        coalesce(string_agg(format(
            ' LEFT JOIN register.%1$I AS r%2$s ON r%2$s.%3$I = s.named ->> %4$L',
            t.table_name, r.ordinal, r.by, r.name
        ), ''), ''),
        string_agg(format('%1$L, r%2$s.%3$I', r.name, r.ordinal, t.key_column), ', '),
        string_agg(format(
            'WHEN s.named ? %1$L AND r%2$s.%3$I IS NULL THEN %1$L',
            r.name, r.ordinal, t.key_column
        ), ' ' ORDER BY r.ordinal)
    INTO joins, found_keys, unknown
    FROM register.import_kind AS k
    CROSS JOIN LATERAL unnest(k.reference_columns, k.reference_kinds, k.reference_by)
    WITH ORDINALITY AS r (name, kind, by, ordinal)
    INNER JOIN register.record_kind AS t ON r.kind = t.kind
    WHERE k.kind = p_kind;

    SELECT k.table_name INTO STRICT table_name
    FROM register.record_kind AS k WHERE k.kind = p_kind;

    defaults := register.import_defaults(p_kind);

    EXECUTE format(
        'CREATE TEMPORARY TABLE staged ON COMMIT DROP AS SELECT f.line, f.key,'
        ' md5(f.key)::uuid AS key_hash,'
        ' nullif(min(f.line) OVER (PARTITION BY f.key), f.line) AS first_line,'
        ' f.body, f.named, jsonb_populate_record(NULL::register.%1$I, %2$L::jsonb || f.body) AS r,'
        ' (%6$L || substr(gen_random_uuid()::text, 16))::uuid AS record_id,'
        ' CASE WHEN f.field IS NOT NULL THEN ''rejected'' ELSE ''created'' END AS outcome,'
        ' CASE WHEN f.field IS NOT NULL THEN ''unknown_reference'' END AS code, f.field,'
        ' NULL::integer AS other_line, NULL::text AS decision FROM (SELECT s.line, s.key, s.named,'
        ' s.body%3$s AS body, %4$s AS field FROM ('
        ' SELECT u.line, u.key, u.body::jsonb AS body, u.named::jsonb AS named'
        ' FROM unnest($1, $2, $3, $4) AS u (line, key, body, named)) AS s%5$s) AS f',
        table_name,
        defaults,
        coalesce(' || jsonb_strip_nulls(jsonb_build_object(' || found_keys || '))', ''),
        coalesce('CASE ' || unknown || ' END', 'NULL::text'),
        joins,
        new_id
    ) USING p_lines, p_keys, p_bodies, p_named;
    CREATE UNIQUE INDEX staged_line ON staged (line);
END
$$;

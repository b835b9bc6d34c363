-- Begin an import, or find the one of the same file, source and kind that is not over.
CREATE OR REPLACE FUNCTION register.import_begin(
    p_kind text, p_source text, p_file_name text, p_file_sha256 bytea,
    p_form jsonb, p_header jsonb, p_opening bytea, p_by text
) RETURNS TABLE (import_id bigint, state text, is_new boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    begun bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('register.import'));
    RETURN QUERY
    SELECT i.import_id, i.state, FALSE
    FROM register.import AS i
    WHERE
        i.file_sha256 = p_file_sha256 AND i.source = p_source AND i.kind = p_kind
        AND i.ended_at IS NULL;
    IF FOUND THEN
        RETURN;
    END IF;
    INSERT INTO register.import AS i (
        kind, source, file_name, file_sha256, form, header, opening, state, started_by
    ) VALUES (
        p_kind, p_source, p_file_name, p_file_sha256, p_form, p_header, p_opening, 'reading', p_by
    ) RETURNING i.import_id INTO begun;
    UPDATE register.import AS i
    SET change_id = register.begin_change(
        p_by, format('%s: %s', p_source, p_file_name), 'import', begun::text
    )
    FROM register.record_kind AS k
    WHERE i.import_id = begun AND k.kind = p_kind AND NOT k.creates_rights;
    RETURN QUERY SELECT begun, 'reading', TRUE;
END
$$;

-- Keep rows that were not taken: how they came, and what is wrong with them.
CREATE OR REPLACE FUNCTION register.import_keep(
    p_import_id bigint, p_lines integer[], p_kept bytea[], p_faults text[]
) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
INSERT INTO register.import_reject (import_id, line, kept, faults)
SELECT p_import_id, r.line, r.kept, r.faults::jsonb
FROM unnest(p_lines, p_kept, p_faults) AS r (line, kept, faults)
ON CONFLICT (import_id, line) DO UPDATE SET faults = excluded.faults;
$$;

-- Close a chunk: count the fates of its rows, from one line to another.
CREATE OR REPLACE FUNCTION register.import_end_chunk(
    p_import_id bigint, p_chunk integer, p_first_line integer, p_last_line integer,
    p_record_count integer, p_blank_count integer, p_is_written boolean
) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
INSERT INTO register.import_chunk AS c (
    import_id, chunk, first_line, last_line, record_count, blank_count, is_written,
    row_count, created_count, changed_count, unchanged_count, rejected_count, waiting_count
)
SELECT
    p_import_id, p_chunk, p_first_line, p_last_line, p_record_count, p_blank_count, p_is_written,
    p_record_count - p_blank_count,
    count(*) FILTER (WHERE i.outcome = 'created'),
    count(*) FILTER (WHERE i.outcome = 'changed'),
    count(*) FILTER (WHERE i.outcome = 'unchanged'),
    count(*) FILTER (WHERE i.outcome IN ('rejected', 'waiting')),
    count(*) FILTER (WHERE i.outcome = 'waiting')
FROM register.import_row AS i
WHERE i.import_id = p_import_id AND i.line BETWEEN p_first_line AND p_last_line;
$$;

-- Count a chunk anew after the fate of one of its rows has changed.
CREATE OR REPLACE FUNCTION register.import_recount(
    p_import_id bigint, p_chunk integer, p_is_written boolean
) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
UPDATE register.import_chunk AS c
SET
    created_count = f.created,
    changed_count = f.changed,
    unchanged_count = f.unchanged,
    rejected_count = f.rejected,
    waiting_count = f.waiting,
    is_written = p_is_written
FROM (
    SELECT
        count(*) FILTER (WHERE i.outcome = 'created') AS created,
        count(*) FILTER (WHERE i.outcome = 'changed') AS changed,
        count(*) FILTER (WHERE i.outcome = 'unchanged') AS unchanged,
        count(*) FILTER (WHERE i.outcome IN ('rejected', 'waiting')) AS rejected,
        count(*) FILTER (WHERE i.outcome = 'waiting') AS waiting
    FROM register.import_chunk AS k
    INNER JOIN register.import_row AS i
        ON k.import_id = i.import_id AND i.line BETWEEN k.first_line AND k.last_line
    WHERE k.import_id = p_import_id AND k.chunk = p_chunk
) AS f
WHERE c.import_id = p_import_id AND c.chunk = p_chunk;
$$;

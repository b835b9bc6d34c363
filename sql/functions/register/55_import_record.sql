-- Keep the fate of each row of a chunk, the rows that are not in the register yet, and the
-- candidates of those that wait.
CREATE OR REPLACE FUNCTION register.import_record(
    p_import_id bigint, p_writes boolean, p_lines integer[], p_kept bytea[], p_unread integer[]
) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO register.import_row AS i (import_id, line, outcome, key, record_id)
    SELECT
        p_import_id, s.line, s.outcome, s.key_hash,
        CASE WHEN s.outcome IN ('created', 'changed', 'unchanged') THEN s.record_id END
    FROM staged AS s
    ON CONFLICT (import_id, line) DO UPDATE
        SET outcome = excluded.outcome, record_id = excluded.record_id;
    INSERT INTO register.import_row (import_id, line, outcome)
    SELECT p_import_id, u.line, 'rejected' FROM unnest(p_unread) AS u (line);

    DELETE FROM register.import_candidate AS c
    USING staged AS s
    WHERE c.import_id = p_import_id AND c.line = s.line;
    INSERT INTO register.import_candidate (import_id, line, record_id, reasons, score)
    SELECT p_import_id, k.line, k.record_id, k.reasons, k.score
    FROM likely AS k
    INNER JOIN staged AS s ON k.line = s.line AND s.outcome = 'waiting'
    UNION ALL
    SELECT p_import_id, s.line, s.record_id, ARRAY[s.code], 100
    FROM staged AS s
    WHERE s.outcome = 'waiting' AND s.code IN ('snils_of_another', 'held_by_another');

    DELETE FROM register.import_staged AS w
    USING staged AS s
    WHERE w.import_id = p_import_id AND w.line = s.line
    AND p_writes AND s.outcome <> 'waiting';
    INSERT INTO register.import_staged AS w (import_id, line, key, body, named, kept)
    SELECT p_import_id, s.line, s.key, s.body, s.named, k.kept
    FROM staged AS s
    LEFT JOIN unnest(p_lines, p_kept) AS k (line, kept) ON s.line = k.line
    WHERE s.outcome = 'waiting' OR (NOT p_writes AND s.outcome <> 'rejected')
    ON CONFLICT (import_id, line) DO NOTHING;
END
$$;

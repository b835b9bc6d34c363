-- The mapping of a source's files; NULL when none was confirmed.
CREATE OR REPLACE FUNCTION register.import_mapping_of(p_source text, p_kind text) RETURNS jsonb
LANGUAGE sql SECURITY DEFINER STABLE SET search_path = pg_catalog AS $$
SELECT m.columns FROM register.import_mapping AS m WHERE m.source = p_source AND m.kind = p_kind;
$$;

-- Rows of an import that were not taken, as they came, from a line on: pages of p_limit rows.
CREATE OR REPLACE FUNCTION register.import_rejects(
    p_import_id bigint, p_after_line integer, p_limit integer
) RETURNS TABLE (line integer, kept bytea, faults text)
LANGUAGE sql SECURITY DEFINER STABLE SET search_path = pg_catalog AS $$
SELECT r.line, r.kept, r.faults::text
FROM register.import_reject AS r
WHERE r.import_id = p_import_id AND r.line > p_after_line
ORDER BY r.line
LIMIT p_limit;
$$;

-- Rows of an import that wait for a decision, with their candidates, from a line on. Whose records
-- are shown is kept in the log of reads, with who looks and what for.
CREATE OR REPLACE FUNCTION register.import_waiting(
    p_import_id bigint, p_after_line integer, p_limit integer, p_by text, p_purpose text
) RETURNS TABLE (
    line integer, body text, record_id uuid, reasons text[], score smallint, known text
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    target register.record_kind;
BEGIN
    SELECT k.* INTO STRICT target
    FROM register.import AS i
    INNER JOIN register.record_kind AS k ON i.kind = k.kind
    WHERE i.import_id = p_import_id;
    RETURN QUERY EXECUTE format(
        'WITH page AS ('
        ' SELECT w.line, w.body, w.named FROM register.import_staged AS w'
        ' INNER JOIN register.import_row AS i ON w.import_id = i.import_id AND w.line = i.line'
        ' WHERE w.import_id = $1 AND w.line > $2 AND i.outcome = ''waiting'''
        ' ORDER BY w.line LIMIT $3),'
        ' shown AS (SELECT p.line, p.body || p.named AS body, c.record_id, c.reasons, c.score,'
        ' to_jsonb(t) AS known FROM page AS p'
        ' INNER JOIN register.import_candidate AS c ON c.import_id = $1 AND c.line = p.line'
        ' LEFT JOIN register.%1$I AS t ON t.%2$I = c.record_id),'
        ' logged AS (INSERT INTO register.read_log'
        ' (read_by, purpose, way, citizen_id, household_id, kinds)'
        ' SELECT DISTINCT $4, $5, ''import'', (s.known ->> ''citizen_id'')::uuid,'
        ' (s.known ->> ''household_id'')::uuid, ARRAY[%3$L] FROM shown AS s'
        ' WHERE s.known IS NOT NULL)'
        ' SELECT s.line, s.body::text, s.record_id, s.reasons, s.score, s.known::text'
        ' FROM shown AS s ORDER BY s.line, s.score DESC, s.record_id',
        target.table_name, target.key_column, target.kind
    ) USING p_import_id, p_after_line, p_limit, p_by, p_purpose;
END
$$;

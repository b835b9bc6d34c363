-- Tell rows that a file holds twice: a repeat that says the same is unchanged, one that says
-- something else is rejected, since nobody can know which of the two is right.
CREATE OR REPLACE FUNCTION register.import_repeats(p_import_id bigint, p_kind text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- The earlier row was in a chunk before: what it said is in the register, or staged.
    UPDATE staged AS s
    SET
        outcome = CASE
            WHEN s.outcome = 'unchanged' OR e.body = s.body THEN 'unchanged' ELSE 'rejected'
        END,
        code = 'repeated',
        other_line = e.line
    FROM staged AS o
    CROSS JOIN LATERAL (
        SELECT i.line, w.body
        FROM register.import_row AS i
        LEFT JOIN register.import_staged AS w ON i.import_id = w.import_id AND i.line = w.line
        WHERE
            i.import_id = p_import_id
            AND i.key = o.key_hash
            AND i.line < o.line
            AND i.outcome <> 'rejected'
        ORDER BY i.line
        LIMIT 1
    ) AS e
    WHERE
        o.line = s.line
        AND s.outcome <> 'rejected'
        AND s.decision IS NULL;

    -- It stands in the same chunk.
    UPDATE staged AS s
    SET
        outcome = CASE
            WHEN s.outcome = 'unchanged' OR f.body = s.body THEN 'unchanged' ELSE 'rejected'
        END,
        code = 'repeated',
        other_line = f.line
    FROM staged AS f
    WHERE
        s.first_line = f.line
        AND s.outcome <> 'rejected'
        AND s.code IS DISTINCT FROM 'repeated'
        AND s.decision IS NULL
        AND f.outcome <> 'rejected';
END
$$;

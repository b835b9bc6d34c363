-- What a service requires of the rights holder (regulations.requirement) and is not known, the
-- first by its clause; NULL when nothing is missing. A fact that ended still counts for its days of
-- prolongation.
CREATE OR REPLACE FUNCTION engine.lacking(
    p_bucket smallint, p_holder_id uuid, p_service text, p_version integer, p_terminal_id text,
    p_local_date date
) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT q.fact
    FROM regulations.requirement AS q
    WHERE q.service = p_service AND q.version = p_version AND NOT EXISTS (
        SELECT FROM rights.holder_fact AS h
        WHERE h.bucket = p_bucket AND h.holder_id = p_holder_id AND h.fact = q.fact
            AND p_local_date BETWEEN h.valid_from AND h.valid_to + q.prolonged_days
            AND (NOT q.of_provider OR h.provider_code = (
                SELECT p.code FROM terminals.terminal AS t
                INNER JOIN terminals.provider AS p ON t.provider_id = p.provider_id
                WHERE t.terminal_id = p_terminal_id
            ))
    )
    ORDER BY q.clause, q.fact
    LIMIT 1
$$;

-- Whether this database decided anything about a service: ever, or (posting date) before one day or
-- after another.
CREATE OR REPLACE FUNCTION regulations.has_history(
    p_service text, p_before date, p_after date
) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM journal.event AS e
        WHERE e.service = p_service AND e.kind <> 1
            AND (
                (p_before IS NULL AND p_after IS NULL)
                OR e.posting_date < p_before OR e.posting_date > p_after
            )
    )
$$;

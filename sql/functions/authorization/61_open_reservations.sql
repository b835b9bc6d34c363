-- Put the reserves and started visits among p_requests that hold something into
-- rights.reservation: those whose event, written a moment ago, says when it ends.
CREATE OR REPLACE FUNCTION engine.open_reservations(p_requests engine.request[]) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO rights.reservation
    SELECT
        r.bucket, r.business_date, r.terminal_id, r.stan, r.assigned,
        (e.facts ->> 'expires')::timestamptz
    FROM unnest(p_requests) AS r
    CROSS JOIN LATERAL (
        SELECT e.facts FROM journal.event AS e
        WHERE e.business_date = r.business_date AND e.terminal_id = r.terminal_id
            AND e.stan = r.stan AND e.message_class = r.message_class
            AND e.assigned = r.assigned
        OFFSET 0
    ) AS e
    WHERE r.kind IN (2, 7) AND e.facts ? 'expires'
$$;

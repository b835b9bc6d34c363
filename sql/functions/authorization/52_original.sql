-- Whether a transaction was taken back: by a reversal of its own or, if it is a return, by one that
-- stands among the children of what was sold.
CREATE OR REPLACE FUNCTION engine.taken_back(p_event journal.event) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT
        EXISTS (
            SELECT FROM journal.child AS c
            WHERE c.business_date = p_event.business_date AND c.terminal_id = p_event.terminal_id
                AND c.stan = p_event.stan AND c.message_class = p_event.message_class
                AND c.assigned = p_event.assigned AND c.undoes = 0
        )
        OR EXISTS (
            SELECT
            FROM journal.child AS m
            CROSS JOIN LATERAL (
                SELECT c.undoes FROM journal.child AS c
                WHERE c.business_date = m.business_date AND c.terminal_id = m.terminal_id
                    AND c.stan = m.stan AND c.message_class = m.message_class
                    AND c.assigned = m.assigned AND c.undoes = m.child_no
                OFFSET 0
            ) AS u
            WHERE m.child_business_date = p_event.business_date
                AND m.child_terminal_id = p_event.terminal_id AND m.child_stan = p_event.stan
                AND m.child_message_class = p_event.message_class
                AND m.child_assigned = p_event.assigned
        )
$$;

-- The transaction that a completion, return or reversal names; none if the journal has none under
-- that key. Of several (an advice's key was taken) the holder's, the card's own, given rather than
-- declined, one that still stands (a reservation: that is still open), the latest.
CREATE OR REPLACE FUNCTION engine.original_of(p_request engine.request)
RETURNS SETOF journal.event
LANGUAGE sql STABLE ROWS 1 AS $$
    SELECT e.* FROM journal.event AS e
    WHERE e.business_date = p_request.parent_business_date
        AND e.terminal_id = p_request.parent_terminal_id
        AND e.stan = p_request.parent_stan
        AND e.message_class = p_request.parent_message_class
    ORDER BY
        e.holder_id = p_request.holder_id DESC, e.card_id = p_request.card_id DESC,
        e.covered_kopecks IS NOT NULL DESC,
        engine.taken_back(e) OR (e.kind IN (2, 7) AND engine.next_child(e) > 1), e.assigned DESC
    LIMIT 1
$$;

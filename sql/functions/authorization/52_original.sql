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
        journal.taken_back(e) OR (e.kind IN (2, 7) AND engine.next_child(e) > 1), e.assigned DESC
    LIMIT 1
$$;

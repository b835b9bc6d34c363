-- A transaction's place among the children of another; none if it is nobody's child.
CREATE OR REPLACE FUNCTION engine.member_of(p_event journal.event) RETURNS SETOF journal.child
LANGUAGE sql STABLE ROWS 1 AS $$
    SELECT c.* FROM journal.child AS c
    WHERE c.child_business_date = p_event.business_date
        AND c.child_terminal_id = p_event.terminal_id AND c.child_stan = p_event.stan
        AND c.child_message_class = p_event.message_class AND c.child_assigned = p_event.assigned
$$;

-- The transaction whose child this is.
CREATE OR REPLACE FUNCTION engine.parent_of(p_child journal.child) RETURNS SETOF journal.event
LANGUAGE sql STABLE ROWS 1 AS $$
    SELECT e.* FROM journal.event AS e
    WHERE e.business_date = p_child.business_date AND e.terminal_id = p_child.terminal_id
        AND e.stan = p_child.stan AND e.message_class = p_child.message_class
        AND e.assigned = p_child.assigned
$$;

-- The number that a transaction's next child takes.
CREATE OR REPLACE FUNCTION engine.next_child(p_parent journal.event) RETURNS smallint
LANGUAGE sql STABLE AS $$
    SELECT (1 + coalesce(max(c.child_no), 0))::smallint FROM journal.child AS c
    WHERE c.business_date = p_parent.business_date AND c.terminal_id = p_parent.terminal_id
        AND c.stan = p_parent.stan AND c.message_class = p_parent.message_class
        AND c.assigned = p_parent.assigned
$$;

-- Make an event the next child of a transaction; p_undoes as in journal.child. Raises 23505 when
-- another did at this moment: p_child_no was then read too early, and all that was told after it.
CREATE OR REPLACE FUNCTION engine.claim(
    p_parent journal.event, p_child_no smallint, p_request engine.request, p_undoes smallint
) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO journal.child VALUES (
        p_parent.bucket, p_parent.business_date, p_parent.terminal_id, p_parent.stan,
        p_parent.message_class, p_parent.assigned, p_child_no, p_request.kind, p_undoes,
        p_request.business_date, p_request.terminal_id, p_request.stan, p_request.message_class,
        p_request.assigned
    )
$$;

-- End a reservation that was approved: NULL if it was open, else what ended it before. Of two who
-- would end it the second waits for the first here.
CREATE OR REPLACE FUNCTION engine.end_reservation(p_event journal.event) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    state text;
BEGIN
    DELETE FROM rights.reservation AS r
    WHERE r.bucket = p_event.bucket AND r.business_date = p_event.business_date
        AND r.terminal_id = p_event.terminal_id AND r.stan = p_event.stan
        AND r.assigned = p_event.assigned;
    IF NOT found THEN
        SELECT CASE WHEN c.kind IN (4, 8) THEN 'completed' WHEN c.kind = 9 THEN 'expired' ELSE 'reversed' END
        INTO STRICT state FROM journal.child AS c
        WHERE c.business_date = p_event.business_date AND c.terminal_id = p_event.terminal_id
            AND c.stan = p_event.stan AND c.message_class = p_event.message_class
            AND c.assigned = p_event.assigned;
    END IF;
    RETURN state;
END
$$;

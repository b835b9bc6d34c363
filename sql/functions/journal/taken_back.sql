-- Whether a transaction was taken back: by a reversal of its own or, if it is a return, by one that
-- stands among the children of what was sold.
CREATE OR REPLACE FUNCTION journal.taken_back(p_event journal.event) RETURNS boolean
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

GRANT EXECUTE ON FUNCTION journal.taken_back(journal.event) TO spk_processing, spk_finance;

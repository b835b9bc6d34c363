-- Whether a return was taken back, so that its goods are sold again.
CREATE OR REPLACE FUNCTION reconciliation.taken_back(p_return journal.event) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT
        FROM journal.child AS c
        CROSS JOIN LATERAL (
            SELECT v.undoes FROM journal.child AS v
            WHERE v.business_date = c.business_date AND v.terminal_id = c.terminal_id
                AND v.stan = c.stan AND v.message_class = c.message_class
                AND v.assigned = c.assigned AND v.undoes = c.child_no
            OFFSET 0
        ) AS v
        WHERE c.child_business_date = p_return.business_date
            AND c.child_terminal_id = p_return.terminal_id AND c.child_stan = p_return.stan
            AND c.child_message_class = p_return.message_class
            AND c.child_assigned = p_return.assigned
    )
    -- one recorded in conflict is nobody's child, and its reversal is its own
    OR EXISTS (
        SELECT FROM journal.child AS c
        WHERE c.business_date = p_return.business_date
            AND c.terminal_id = p_return.terminal_id AND c.stan = p_return.stan
            AND c.message_class = p_return.message_class AND c.assigned = p_return.assigned
            AND c.undoes = 0
    )
$$;

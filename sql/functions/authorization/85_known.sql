-- The requests, by ordinal, whose keys are in the journal or may be: a date outside of the window
-- may lie in any partition, and a closed month that reaches into the window is left to
-- engine.recall.
CREATE OR REPLACE FUNCTION engine.known(
    p_batch engine.batch, p_terminal_ids text[], p_posting_date date
) RETURNS TABLE (ordinals integer[])
LANGUAGE sql STABLE ROWS 1 AS $$
    SELECT coalesce(array_agg(n), '{}')
    FROM generate_series(1, cardinality(p_terminal_ids)) AS n
    WHERE (p_batch).business_date[n] NOT BETWEEN p_posting_date - 3 AND p_posting_date + 1
        OR EXISTS (
            SELECT FROM journal.archive_step AS c
            WHERE c.month >= date_trunc('month', (p_posting_date - 3)::timestamp)::date
        )
        OR (
            -- no EXISTS, which the planner might answer by reading all events once
            SELECT e.assigned FROM journal.event AS e
            WHERE e.business_date BETWEEN p_posting_date - 3 AND p_posting_date + 1
                AND e.business_date = (p_batch).business_date[n]
                AND e.terminal_id = p_terminal_ids[n] AND e.stan = (p_batch).stan[n]
                AND e.message_class = (p_batch).message_class[n]
            LIMIT 1
        ) IS NOT NULL
$$;

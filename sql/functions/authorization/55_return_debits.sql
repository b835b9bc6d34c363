-- The lines of one journalled transaction.
CREATE OR REPLACE FUNCTION engine.lines_of(p_event journal.event) RETURNS SETOF journal.line
LANGUAGE sql STABLE AS $$
    SELECT l.* FROM journal.line AS l
    WHERE l.business_date = p_event.business_date AND l.terminal_id = p_event.terminal_id
        AND l.stan = p_event.stan AND l.message_class = p_event.message_class
        AND l.assigned = p_event.assigned
$$;

-- Give back to each allowance, in the period it was taken from, what the transaction debited.
CREATE OR REPLACE FUNCTION engine.return_debits(p_event journal.event) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    debit record;
BEGIN
    FOR debit IN
        SELECT l.bucket, l.allowance_id, l.period_start, sum(l.debited) AS debited
        FROM engine.lines_of(p_event) AS l
        WHERE l.debited > 0
        GROUP BY l.bucket, l.allowance_id, l.period_start
        ORDER BY l.bucket, l.allowance_id, l.period_start
    LOOP
        UPDATE rights.counter AS c SET used = c.used - debit.debited
        WHERE c.bucket = debit.bucket AND c.allowance_id = debit.allowance_id
            AND c.period_start = debit.period_start;
    END LOOP;
END
$$;

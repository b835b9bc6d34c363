-- Give back to each allowance, in the period it was taken from, what these parts debited.
CREATE OR REPLACE FUNCTION engine.return_debits(p_parts journal.line[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    debit record;
BEGIN
    FOR debit IN
        SELECT p.bucket, p.allowance_id, p.period_start, sum(p.debited) AS debited
        FROM unnest(p_parts) AS p
        WHERE p.allowance_id IS NOT NULL
        GROUP BY p.bucket, p.allowance_id, p.period_start
        HAVING sum(p.debited) > 0
        ORDER BY p.bucket, p.allowance_id, p.period_start
    LOOP
        UPDATE rights.counter AS c SET used = c.used - debit.debited
        WHERE c.bucket = debit.bucket AND c.allowance_id = debit.allowance_id
            AND c.period_start = debit.period_start;
    END LOOP;
END
$$;

-- Debit once more what these parts had debited, all or nothing; returns the part whose allowance is
-- short, with what is left of it as its debit, or NULL when everything was debited.
CREATE OR REPLACE FUNCTION engine.debit_again(
    p_parts journal.line[], p_holder_id uuid
) RETURNS journal.line
LANGUAGE plpgsql AS $$
DECLARE
    debit record;
    remaining bigint;
    short journal.line;
BEGIN
    FOR debit IN
        SELECT p.bucket, p.allowance_id, p.period_start, sum(p.debited)::bigint AS debited,
            (array_agg(p ORDER BY p.line_no, p.part))[1] AS part
        FROM unnest(p_parts) AS p
        WHERE p.allowance_id IS NOT NULL
        GROUP BY p.bucket, p.allowance_id, p.period_start
        HAVING sum(p.debited) > 0
        ORDER BY p.bucket, p.allowance_id, p.period_start
    LOOP
        -- The counter is locked before it is judged by.
        PERFORM FROM rights.counter AS c
        WHERE c.bucket = debit.bucket AND c.allowance_id = debit.allowance_id
            AND c.period_start = debit.period_start
        FOR NO KEY UPDATE;
        SELECT w.granted - c.used INTO remaining
        FROM rights.counter AS c
        CROSS JOIN rights.allowance AS w
        WHERE c.bucket = debit.bucket AND c.allowance_id = debit.allowance_id
            AND c.period_start = debit.period_start
            AND w.bucket = debit.bucket AND w.holder_id = p_holder_id
            AND w.allowance_id = debit.allowance_id;
        IF coalesce(remaining, 0) < debit.debited THEN
            short := debit.part;
            short.debited := greatest(0, coalesce(remaining, 0));
            RETURN short;
        END IF;
    END LOOP;
    FOR debit IN
        SELECT p.bucket, p.allowance_id, p.period_start, sum(p.debited)::bigint AS debited
        FROM unnest(p_parts) AS p
        WHERE p.allowance_id IS NOT NULL
        GROUP BY p.bucket, p.allowance_id, p.period_start
        HAVING sum(p.debited) > 0
    LOOP
        UPDATE rights.counter AS c
        SET used = c.used + debit.debited, granted = greatest(c.granted, c.used + debit.debited)
        WHERE c.bucket = debit.bucket AND c.allowance_id = debit.allowance_id
            AND c.period_start = debit.period_start;
    END LOOP;
    RETURN NULL;
END
$$;

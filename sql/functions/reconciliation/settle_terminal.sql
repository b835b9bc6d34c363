-- What the centre counted for one terminal and business date: sales given (also in part, also
-- recorded in conflict), those taken back included; and of these, what was taken back.
CREATE OR REPLACE FUNCTION reconciliation.totals_of(p_terminal_id text, p_business_date date)
RETURNS TABLE (
    approved_count bigint,
    gross_kopecks bigint,
    covered_kopecks bigint,
    paid_kopecks bigint,
    reversed_count bigint,
    reversed_covered_kopecks bigint
)
LANGUAGE sql STABLE AS $$
    SELECT
        given.approved_count, given.covered_kopecks + given.paid_kopecks, given.covered_kopecks,
        given.paid_kopecks, back.reversed_count, back.covered_kopecks
    FROM (
        SELECT
            count(*) AS approved_count,
            coalesce(sum((SELECT sum(c) FROM unnest(e.covered_kopecks) AS c)), 0)::bigint
                AS covered_kopecks,
            coalesce(sum((SELECT sum(c) FROM unnest(e.paid_kopecks) AS c)), 0)::bigint
                AS paid_kopecks
        FROM journal.event AS e
        WHERE e.business_date = p_business_date AND e.terminal_id = p_terminal_id
            AND e.kind = 3 AND e.outcome > 700
    ) AS given
    CROSS JOIN (
        -- Counted from the reversals: of two advices under one number it is the reversal that
        -- says which of them it took back. One that had nothing to take back has no amounts.
        SELECT
            count(*) AS reversed_count,
            coalesce(sum((SELECT sum(c) FROM unnest(v.covered_kopecks) AS c)), 0)::bigint
                AS covered_kopecks
        FROM journal.reversal AS r
        INNER JOIN journal.event AS v
            ON r.reversal_business_date = v.business_date AND r.terminal_id = v.terminal_id
            AND r.reversal_stan = v.stan AND v.message_class = 4
            AND r.business_date = v.parent_business_date AND r.stan = v.parent_stan
            AND r.message_class = v.parent_message_class
        WHERE r.business_date = p_business_date AND r.terminal_id = p_terminal_id
            AND v.covered_kopecks IS NOT NULL
    ) AS back
$$;

-- Keep what a terminal counted beside what the centre counted at this moment, and return the
-- latter. A terminal may settle the same day again; each time is a row of its own.
CREATE OR REPLACE FUNCTION reconciliation.settle_terminal(
    p_terminal_id text, p_business_date date, p_stan integer, p_received_at timestamptz,
    p_approved_count bigint, p_gross_kopecks bigint, p_covered_kopecks bigint,
    p_paid_kopecks bigint, p_reversed_count bigint, p_reversed_covered_kopecks bigint
) RETURNS TABLE (
    approved_count bigint,
    gross_kopecks bigint,
    covered_kopecks bigint,
    paid_kopecks bigint,
    reversed_count bigint,
    reversed_covered_kopecks bigint
)
LANGUAGE sql AS $$
    INSERT INTO reconciliation.terminal_totals
    SELECT
        p_terminal_id, p_business_date, p_stan, p_received_at, p_approved_count, p_gross_kopecks,
        p_covered_kopecks, p_paid_kopecks, p_reversed_count, p_reversed_covered_kopecks,
        c.approved_count, c.gross_kopecks, c.covered_kopecks, c.paid_kopecks, c.reversed_count,
        c.reversed_covered_kopecks
    FROM reconciliation.totals_of(p_terminal_id, p_business_date) AS c
    ON CONFLICT DO NOTHING;

    SELECT c.* FROM reconciliation.totals_of(p_terminal_id, p_business_date) AS c
$$;

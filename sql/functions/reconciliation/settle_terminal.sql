-- What the centre counted for one terminal and business date: sales given (also in part, also
-- recorded in conflict), those taken back included; and of these, what was taken back.
CREATE OR REPLACE FUNCTION reconciliation.totals_of(p_terminal_id text, p_business_date date)
RETURNS TABLE (
    approved_count integer,
    gross_kopecks bigint,
    covered_kopecks bigint,
    paid_kopecks bigint,
    reversed_count integer,
    reversed_covered_kopecks bigint
)
LANGUAGE sql STABLE AS $$
    SELECT
        count(*)::integer,
        coalesce(sum(t.covered + t.paid), 0)::bigint,
        coalesce(sum(t.covered), 0)::bigint,
        coalesce(sum(t.paid), 0)::bigint,
        (count(*) FILTER (WHERE t.taken_back))::integer,
        coalesce(sum(t.covered) FILTER (WHERE t.taken_back), 0)::bigint
    FROM (
        SELECT
            (SELECT sum(c) FROM unnest(e.covered_kopecks) AS c) AS covered,
            (SELECT sum(c) FROM unnest(e.paid_kopecks) AS c) AS paid,
            r.stan IS NOT NULL AS taken_back
        FROM journal.event AS e
        LEFT JOIN journal.reversal AS r
            ON e.business_date = r.business_date AND e.terminal_id = r.terminal_id
            AND e.stan = r.stan AND e.message_class = r.message_class AND e.assigned = 0
        WHERE e.business_date = p_business_date AND e.terminal_id = p_terminal_id
            AND e.kind = 3 AND e.outcome > 700
    ) AS t
$$;

-- Keep what a terminal counted beside what the centre counted at this moment, and return the
-- latter. A terminal may settle the same day again; each time is a row of its own.
CREATE OR REPLACE FUNCTION reconciliation.settle_terminal(
    p_terminal_id text, p_business_date date, p_stan integer, p_received_at timestamptz,
    p_approved_count integer, p_gross_kopecks bigint, p_covered_kopecks bigint,
    p_paid_kopecks bigint, p_reversed_count integer, p_reversed_covered_kopecks bigint
) RETURNS TABLE (
    approved_count integer,
    gross_kopecks bigint,
    covered_kopecks bigint,
    paid_kopecks bigint,
    reversed_count integer,
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

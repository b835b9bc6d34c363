-- What the centre counted for one terminal and business date: sales and completions given (also in
-- part, also recorded in conflict), those taken back included; of these, what was taken back; and
-- returns of that date, but for those that were taken back.
CREATE OR REPLACE FUNCTION reconciliation.totals_of(p_terminal_id text, p_business_date date)
RETURNS TABLE (
    approved_count bigint,
    gross_kopecks bigint,
    covered_kopecks bigint,
    paid_kopecks bigint,
    reversed_count bigint,
    reversed_covered_kopecks bigint,
    returned_count bigint,
    returned_covered_kopecks bigint
)
LANGUAGE sql STABLE AS $$
    SELECT
        given.approved_count, given.covered_kopecks + given.paid_kopecks, given.covered_kopecks,
        given.paid_kopecks, back.reversed_count, back.covered_kopecks, given.returned_count,
        given.returned_covered_kopecks
    FROM (
        SELECT
            count(*) FILTER (WHERE g.kind <> 5) AS approved_count,
            coalesce(sum(g.covered) FILTER (WHERE g.kind <> 5), 0)::bigint AS covered_kopecks,
            coalesce(sum(g.paid) FILTER (WHERE g.kind <> 5), 0)::bigint AS paid_kopecks,
            count(*) FILTER (WHERE g.kind = 5) AS returned_count,
            coalesce(sum(g.covered) FILTER (WHERE g.kind = 5), 0)::bigint
                AS returned_covered_kopecks
        FROM (
            SELECT
                e.kind, (SELECT sum(c) FROM unnest(e.covered_kopecks) AS c) AS covered,
                (SELECT sum(c) FROM unnest(e.paid_kopecks) AS c) AS paid
            FROM journal.event AS e
            WHERE e.business_date = p_business_date AND e.terminal_id = p_terminal_id
                AND e.message_class = 2 AND e.outcome > 700
                AND (e.kind IN (3, 4, 8) OR e.kind = 5 AND NOT journal.taken_back(e))
        ) AS g
    ) AS given
    CROSS JOIN (
        -- Counted from the children: of two advices under one number it is the reversal's place
        -- that says which of them it took back.
        SELECT
            count(*) AS reversed_count,
            coalesce(sum((SELECT sum(c) FROM unnest(v.covered_kopecks) AS c)), 0)::bigint
                AS covered_kopecks
        FROM journal.child AS r
        CROSS JOIN LATERAL (
            SELECT v.covered_kopecks FROM journal.event AS v
            WHERE v.business_date = r.child_business_date
                AND v.terminal_id = r.child_terminal_id AND v.stan = r.child_stan
                AND v.message_class = r.child_message_class AND v.assigned = r.child_assigned
                AND v.covered_kopecks IS NOT NULL AND v.facts ->> 'original' IS NULL
            OFFSET 0
        ) AS v
        WHERE r.business_date = p_business_date AND r.terminal_id = p_terminal_id
            AND r.message_class = 2 AND r.undoes = 0
    ) AS back
$$;

-- Keep what a terminal counted beside what the centre counted at this moment, and return the
-- latter. A terminal may settle the same day again; each time is a row of its own.
CREATE OR REPLACE FUNCTION reconciliation.settle_terminal(
    p_terminal_id text, p_business_date date, p_stan integer, p_received_at timestamptz,
    p_approved_count bigint, p_gross_kopecks bigint, p_covered_kopecks bigint,
    p_paid_kopecks bigint, p_reversed_count bigint, p_reversed_covered_kopecks bigint,
    p_returned_count bigint, p_returned_covered_kopecks bigint
) RETURNS TABLE (
    approved_count bigint,
    gross_kopecks bigint,
    covered_kopecks bigint,
    paid_kopecks bigint,
    reversed_count bigint,
    reversed_covered_kopecks bigint,
    returned_count bigint,
    returned_covered_kopecks bigint
)
LANGUAGE sql AS $$
    INSERT INTO reconciliation.terminal_totals
    SELECT
        p_terminal_id, p_business_date, p_stan, p_received_at, p_approved_count, p_gross_kopecks,
        p_covered_kopecks, p_paid_kopecks, p_reversed_count, p_reversed_covered_kopecks,
        p_returned_count, p_returned_covered_kopecks,
        c.approved_count, c.gross_kopecks, c.covered_kopecks, c.paid_kopecks, c.reversed_count,
        c.reversed_covered_kopecks, c.returned_count, c.returned_covered_kopecks
    FROM reconciliation.totals_of(p_terminal_id, p_business_date) AS c
    ON CONFLICT DO NOTHING;

    SELECT c.* FROM reconciliation.totals_of(p_terminal_id, p_business_date) AS c
$$;

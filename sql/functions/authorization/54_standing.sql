-- The lines of one journalled transaction, part by part. Parts below 0 are not among them: those of
-- a completion that give back what the reservation held.
CREATE OR REPLACE FUNCTION engine.lines_of(p_event journal.event) RETURNS SETOF journal.line
LANGUAGE sql STABLE AS $$
    SELECT l.* FROM journal.line AS l
    WHERE l.business_date = p_event.business_date AND l.terminal_id = p_event.terminal_id
        AND l.stan = p_event.stan AND l.message_class = p_event.message_class
        AND l.assigned = p_event.assigned AND l.part > 0
$$;

-- What still stands of a sale or completion, part by part: its lines, less what its returns brought
-- back, more what their reversals sold again. Part 100 of a return moved nothing and is left out.
-- Of any other kind: its lines.
CREATE OR REPLACE FUNCTION engine.standing(p_event journal.event) RETURNS SETOF journal.line
LANGUAGE sql STABLE AS $$
    SELECT
        p_event.bucket, p_event.business_date, p_event.terminal_id, p_event.stan,
        p_event.message_class, p_event.assigned, s.line_no, s.part, s.item,
        sum(s.quantity)::bigint, sum(s.gross_kopecks)::bigint, sum(s.covered_kopecks)::bigint,
        sum(s.paid_kopecks)::bigint, s.allowance_id, s.period_start, sum(s.debited)::bigint,
        sum(s.excess)::bigint, s.entitlement_id, s.measure, s.category, s.funding, s.tariff
    FROM (
        SELECT l.* FROM engine.lines_of(p_event) AS l
        UNION ALL
        SELECT l.*
        FROM journal.child AS c
        CROSS JOIN LATERAL (
            SELECT l.* FROM journal.line AS l
            WHERE l.business_date = c.child_business_date
                AND l.terminal_id = c.child_terminal_id AND l.stan = c.child_stan
                AND l.message_class = c.child_message_class AND l.assigned = c.child_assigned
                AND l.part < 100
            OFFSET 0
        ) AS l
        WHERE p_event.kind IN (3, 4, 8) AND c.business_date = p_event.business_date
            AND c.terminal_id = p_event.terminal_id AND c.stan = p_event.stan
            AND c.message_class = p_event.message_class AND c.assigned = p_event.assigned
    ) AS s
    GROUP BY
        s.line_no, s.part, s.item, s.allowance_id, s.period_start, s.entitlement_id, s.measure,
        s.category, s.funding, s.tariff
    ORDER BY s.line_no, s.part
$$;

-- The same parts with the opposite sign, as what takes them back has them.
CREATE OR REPLACE FUNCTION engine.negated(p_parts journal.line[]) RETURNS journal.line[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(array_agg(ROW(
        p.bucket, p.business_date, p.terminal_id, p.stan, p.message_class, p.assigned, p.line_no,
        p.part, p.item, -p.quantity, -p.gross_kopecks, -p.covered_kopecks, -p.paid_kopecks,
        p.allowance_id, p.period_start, -p.debited, -p.excess, p.entitlement_id, p.measure,
        p.category, p.funding, p.tariff
    )::journal.line), '{}')
    FROM unnest(p_parts) AS p
$$;

-- Covered and paid kopecks of each line, in order.
CREATE OR REPLACE FUNCTION engine.amounts_of(
    p_parts journal.line[], OUT covered bigint[], OUT paid bigint[]
)
LANGUAGE sql IMMUTABLE AS $$
    SELECT array_agg(t.covered ORDER BY t.line_no), array_agg(t.paid ORDER BY t.line_no)
    FROM (
        SELECT p.line_no, sum(p.covered_kopecks)::bigint AS covered,
            sum(p.paid_kopecks)::bigint AS paid
        FROM unnest(p_parts) AS p
        GROUP BY p.line_no
    ) AS t
$$;

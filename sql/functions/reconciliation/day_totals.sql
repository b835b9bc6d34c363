-- A day's net totals by terminal, and beside them the terminal's own last totals with what the
-- centre counts in the same way. Terminals count business dates, so the totals of a posting date
-- (p_by_posting) are compared with nothing: settled_at and all after it are NULL, as they are for
-- a terminal that has not settled. p_provider_code NULL: every provider. A terminal that neither
-- moved anything nor settled has no row.
CREATE OR REPLACE FUNCTION reconciliation.day_totals(
    p_day date, p_by_posting boolean, p_provider_code text
) RETURNS TABLE (
    provider_code text,
    terminal_id text,
    sale_count bigint,
    reversal_count bigint,
    return_count bigint,
    gross_kopecks bigint,
    covered_kopecks bigint,
    paid_kopecks bigint,
    settled_at timestamptz,
    terminal_approved_count integer,
    terminal_gross_kopecks bigint,
    terminal_covered_kopecks bigint,
    terminal_paid_kopecks bigint,
    terminal_reversed_count integer,
    terminal_reversed_covered_kopecks bigint,
    terminal_returned_count bigint,
    terminal_returned_covered_kopecks bigint,
    centre_approved_count integer,
    centre_gross_kopecks bigint,
    centre_covered_kopecks bigint,
    centre_paid_kopecks bigint,
    centre_reversed_count integer,
    centre_reversed_covered_kopecks bigint,
    centre_returned_count bigint,
    centre_returned_covered_kopecks bigint
)
LANGUAGE sql STABLE AS $$
    WITH moved AS (
        SELECT e.terminal_id, e.kind, e.covered_kopecks, e.paid_kopecks
        FROM reconciliation.event_total AS e
        WHERE NOT p_by_posting AND e.business_date = p_day
        UNION ALL
        SELECT e.terminal_id, e.kind, e.covered_kopecks, e.paid_kopecks
        FROM reconciliation.event_total AS e
        WHERE p_by_posting AND e.posting_date = p_day
    ), total AS (
        SELECT
            m.terminal_id,
            count(*) FILTER (WHERE m.kind IN (3, 4, 8)) AS sale_count,
            count(*) FILTER (WHERE m.kind = 5) AS return_count,
            count(*) FILTER (WHERE m.kind = 6) AS reversal_count,
            sum(m.covered_kopecks)::bigint AS covered_kopecks,
            sum(m.paid_kopecks)::bigint AS paid_kopecks
        FROM moved AS m
        GROUP BY m.terminal_id
    ), settled AS (
        SELECT s.* FROM reconciliation.last_settlement AS s
        WHERE NOT p_by_posting AND s.business_date = p_day
    )
    SELECT
        coalesce(p.code, ''), coalesce(d.terminal_id, s.terminal_id),
        coalesce(d.sale_count, 0), coalesce(d.reversal_count, 0), coalesce(d.return_count, 0),
        coalesce(d.covered_kopecks + d.paid_kopecks, 0),
        coalesce(d.covered_kopecks, 0), coalesce(d.paid_kopecks, 0),
        s.received_at, s.terminal_approved_count, s.terminal_gross_kopecks,
        s.terminal_covered_kopecks, s.terminal_paid_kopecks, s.terminal_reversed_count,
        s.terminal_reversed_covered_kopecks, s.terminal_returned_count,
        s.terminal_returned_covered_kopecks, s.centre_approved_count, s.centre_gross_kopecks,
        s.centre_covered_kopecks, s.centre_paid_kopecks, s.centre_reversed_count,
        s.centre_reversed_covered_kopecks, s.centre_returned_count,
        s.centre_returned_covered_kopecks
    FROM total AS d
    FULL JOIN settled AS s ON d.terminal_id = s.terminal_id
    LEFT JOIN terminals.terminal AS t ON t.terminal_id = coalesce(d.terminal_id, s.terminal_id)
    LEFT JOIN terminals.provider AS p ON t.provider_id = p.provider_id
    WHERE p_provider_code IS NULL OR p.code = p_provider_code
    ORDER BY 1, 2
$$;

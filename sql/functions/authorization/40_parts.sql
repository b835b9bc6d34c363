-- Turn claims and what they took into the parts that the journal keeps. Quantity and price of a
-- line are split where its need passes from one allowance to the next, each share being the
-- difference of the sums after and before it; so the parts of a line under one percentage cover
-- together exactly what the line, rounded once, is covered. What no allowance covers is the last
-- part; of an advice it is the excess, in the unit of the allowance that was short.
CREATE OR REPLACE FUNCTION engine.parts(
    p_claims engine.claim[], p_taken bigint[], p_unmet bigint[], p_rulings engine.ruling[]
) RETURNS SETOF engine.part
LANGUAGE sql STABLE ROWS 512 AS $$
    WITH given AS (
        SELECT
            c.*,
            c.remaining - sum(c.taken) OVER (PARTITION BY c.slot ORDER BY c.claim_no) AS balance,
            row_number() OVER (PARTITION BY c.ordinal, c.line_no ORDER BY c.claim_no) AS part
        FROM ROWS FROM (unnest(p_claims), unnest(p_taken), unnest(p_unmet)) WITH ORDINALITY AS c (
            ordinal, mode, refusal, line_no, item, item_class, quantity, gross_kopecks, unit_okei,
            scale, malformed, consumes, need, cap_kopecks, percent, tariff, slot, allowance_id,
            period_start, period_end, entitlement_id, measure, category, funding,
            allowance_unit_okei, allowance_scale, granted, remaining, ends_line, ends_request,
            taken, unmet, claim_no
        )
        INNER JOIN unnest(p_rulings) AS r ON c.ordinal = r.ordinal
        WHERE r.outcome > 700 AND c.line_no IS NOT NULL
    ), taker AS (
        SELECT
            g.*,
            engine.share(g.quantity, g.need - g.unmet, g.need) AS quantity_upto,
            engine.share(g.gross_kopecks, g.need - g.unmet, g.need) AS gross_upto
        FROM given AS g
        WHERE g.taken > 0
    ), span AS (
        SELECT
            t.*,
            lag(t.quantity_upto, 1, 0::bigint) OVER line AS quantity_before,
            lag(t.gross_upto, 1, 0::bigint) OVER line AS gross_before
        FROM taker AS t
        WINDOW line AS (PARTITION BY t.ordinal, t.line_no ORDER BY t.claim_no)
    ), met AS (
        SELECT
            t.ordinal, t.line_no, max(t.quantity_upto) AS quantity, max(t.gross_upto) AS gross
        FROM taker AS t GROUP BY t.ordinal, t.line_no
    )
    SELECT
        s.ordinal, s.line_no, s.part::smallint, s.item,
        s.quantity_upto - s.quantity_before, s.gross_upto - s.gross_before,
        CASE s.consumes
            WHEN 2 THEN s.taken
            ELSE engine.covered_kopecks(
                s.gross_upto, s.gross_kopecks, s.quantity, s.scale, s.cap_kopecks, s.percent
            ) - engine.covered_kopecks(
                s.gross_before, s.gross_kopecks, s.quantity, s.scale, s.cap_kopecks, s.percent
            )
        END,
        s.allowance_id, s.period_start, s.taken, 0::bigint, s.entitlement_id, s.measure,
        s.category, s.funding, s.tariff, s.granted, s.item_class, s.allowance_unit_okei,
        s.allowance_scale, s.balance::bigint, s.percent, s.period_end
    FROM span AS s
    UNION ALL
    SELECT
        g.ordinal, g.line_no, (g.part + 1)::smallint, g.item,
        g.quantity - coalesce(m.quantity, 0), g.gross_kopecks - coalesce(m.gross, 0), 0::bigint,
        NULL, NULL, 0::bigint,
        CASE
            WHEN g.mode <> 3 THEN 0
            WHEN m.ordinal IS NULL THEN coalesce(g.need, 0)
            ELSE g.unmet
        END,
        NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
    FROM given AS g
    LEFT JOIN met AS m ON g.ordinal = m.ordinal AND g.line_no = m.line_no
    WHERE g.ends_line AND (m.ordinal IS NULL OR g.unmet > 0)
$$;

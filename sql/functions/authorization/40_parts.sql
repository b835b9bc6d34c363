-- Turn claims and what they took into the parts that the journal keeps. Quantity and price of a
-- line are split where its need passes from one allowance to the next, each share being the
-- difference of the sums after and before it; so the parts of a line under one percentage cover
-- together exactly what the line, rounded once, is covered. What no allowance covers is the last
-- part; of an advice it is the excess.
CREATE OR REPLACE FUNCTION engine.parts(
    p_claims engine.claim [], p_taken bigint [], p_rulings engine.ruling []
) RETURNS SETOF engine.part
LANGUAGE sql STABLE ROWS 512 AS $$
    WITH met AS (
        SELECT
            c.*,
            sum(c.taken) OVER line AS upto,
            sum(c.taken) OVER line - c.taken AS before,
            c.remaining - sum(c.taken) OVER (PARTITION BY c.slot ORDER BY c.claim_no) AS balance,
            row_number() OVER line AS part
        FROM ROWS FROM (unnest(p_claims), unnest(p_taken)) WITH ORDINALITY AS c (
            ordinal, mode, refusal, line_no, item, item_class, quantity, gross_kopecks, unit_okei,
            scale, malformed, consumes, need, cap_kopecks, percent, tariff, slot, allowance_id,
            period_start, period_end, entitlement_id, measure, category, funding,
            allowance_unit_okei, allowance_scale, granted, remaining, ends_line, ends_request,
            taken, claim_no
        )
        WINDOW line AS (PARTITION BY c.ordinal, c.line_no ORDER BY c.claim_no)
    ), share AS (
        SELECT
            m.*,
            engine.share(m.quantity, m.before::bigint, m.need) AS quantity_before,
            engine.share(m.quantity, m.upto::bigint, m.need) AS quantity_upto,
            engine.share(m.gross_kopecks, m.before::bigint, m.need) AS gross_before,
            engine.share(m.gross_kopecks, m.upto::bigint, m.need) AS gross_upto
        FROM met AS m
        INNER JOIN unnest(p_rulings) AS r ON m.ordinal = r.ordinal
        WHERE r.outcome > 700 AND m.line_no IS NOT NULL
    )
    SELECT
        s.ordinal, s.line_no, s.part::smallint, s.item,
        s.quantity_upto - s.quantity_before, s.gross_upto - s.gross_before,
        CASE s.consumes
            WHEN 2 THEN s.taken
            ELSE engine.covered_kopecks(
                s.gross_upto, s.quantity_upto, s.scale, s.cap_kopecks, s.percent
            ) - engine.covered_kopecks(
                s.gross_before, s.quantity_before, s.scale, s.cap_kopecks, s.percent
            )
        END,
        s.allowance_id, s.period_start, s.taken, 0::bigint, s.entitlement_id, s.measure,
        s.category, s.funding, s.tariff, s.granted, s.item_class, s.allowance_unit_okei,
        s.allowance_scale, s.balance::bigint, s.percent, s.period_end
    FROM share AS s
    WHERE s.taken > 0
    UNION ALL
    SELECT
        s.ordinal, s.line_no, (s.part + 1)::smallint, s.item,
        s.quantity - s.quantity_upto, s.gross_kopecks - s.gross_upto, 0::bigint,
        NULL, NULL, 0::bigint,
        CASE WHEN s.mode = 3 THEN coalesce(s.need - s.upto, 0) ELSE 0 END::bigint,
        NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
    FROM share AS s
    WHERE s.ends_line AND s.upto IS DISTINCT FROM s.need
$$;

-- What would stand of p_parts if only p_targets had been sold (docs/kinds.md): by line, the parts
-- are filled from the first with the target's quantity, and with its price. A part that is kept
-- whole keeps its amounts; another is covered what the price rule says, never more than it was. Of
-- a return (p_back) covered falls by no more than the price that came back. Lines without a target
-- lose everything. p_parts bear one service and version, which tell the rule; the cap is the
-- catalogue's.
CREATE OR REPLACE FUNCTION engine.cut(
    p_parts journal.line[], p_targets engine.line[], p_service text, p_version integer,
    p_back boolean
) RETURNS SETOF journal.line
LANGUAGE sql STABLE AS $$
    SELECT
        c.bucket, c.business_date, c.terminal_id, c.stan, c.message_class, c.assigned, c.line_no,
        c.part, c.item, c.to_quantity, c.to_gross, c.to_covered, c.to_gross - c.to_covered,
        c.allowance_id, c.period_start,
        CASE c.consumes
            WHEN 1 THEN least(c.debited, c.to_quantity)
            WHEN 2 THEN least(c.debited, c.to_covered)
            WHEN 3 THEN CASE WHEN c.line_quantity > 0 THEN c.debited ELSE 0 END
            -- a version that nobody published, of what was recorded in conflict: nothing is debited
            ELSE 0
        END,
        CASE c.consumes
            WHEN 1 THEN least(c.excess, c.to_quantity)
            WHEN 2 THEN CASE WHEN c.gross_kopecks > 0
                THEN engine.share(c.excess, c.to_gross, c.gross_kopecks) ELSE 0 END
            WHEN 3 THEN CASE WHEN c.line_quantity > 0 THEN c.excess ELSE 0 END
            ELSE least(c.excess, c.to_quantity)
        END,
        c.entitlement_id, c.measure, c.category, c.funding, c.tariff
    FROM (
        SELECT
            k.*,
            CASE
                WHEN k.to_quantity = k.quantity AND k.to_gross = k.gross_kopecks
                    THEN k.covered_kopecks
                ELSE greatest(
                    CASE WHEN p_back THEN k.covered_kopecks - (k.gross_kopecks - k.to_gross) ELSE 0 END,
                    CASE
                        WHEN k.covered_kopecks = 0 OR k.to_gross = 0 THEN 0
                        WHEN k.to_quantity = 0 AND k.quantity > 0 THEN 0
                        ELSE least(
                            k.covered_kopecks, k.to_gross,
                            engine.covered_kopecks(
                                k.gross_before + k.to_gross, k.line_gross, k.line_quantity,
                                i.scale, CASE WHEN r.capped THEN i.cap_kopecks END, r.percent
                            ) - engine.covered_kopecks(
                                k.gross_before, k.line_gross, k.line_quantity, i.scale,
                                CASE WHEN r.capped THEN i.cap_kopecks END, r.percent
                            )
                        )
                    END
                )
            END AS to_covered,
            s.consumes
        FROM (
            SELECT
                f.*, least(f.line_gross, f.gross_upto - f.gross_kopecks) AS gross_before,
                least(f.quantity, greatest(
                    0, f.line_quantity - (f.quantity_upto - f.quantity)
                )) AS to_quantity,
                least(f.gross_kopecks, greatest(
                    0, f.line_gross - (f.gross_upto - f.gross_kopecks)
                )) AS to_gross
            FROM (
                SELECT
                    p.*, coalesce(t.quantity, 0) AS line_quantity,
                    coalesce(t.gross_kopecks, 0) AS line_gross,
                    (sum(p.quantity) OVER by_part)::bigint AS quantity_upto,
                    (sum(p.gross_kopecks) OVER by_part)::bigint AS gross_upto
                FROM unnest(p_parts) AS p
                LEFT JOIN unnest(p_targets) AS t ON p.line_no = t.line_no
                WINDOW by_part AS (PARTITION BY p.line_no ORDER BY p.part)
            ) AS f
        ) AS k
        LEFT JOIN LATERAL (
            SELECT s.consumes FROM regulations.service AS s
            WHERE s.service = p_service AND s.version = p_version
            OFFSET 0
        ) AS s ON TRUE
        LEFT JOIN LATERAL (
            SELECT r.percent, r.capped FROM regulations.price_rule AS r
            WHERE r.service = p_service AND r.version = p_version AND r.measure = k.measure
                AND engine.is_for(r.categories, r.excluded, k.category)
            OFFSET 0
        ) AS r ON TRUE
        LEFT JOIN LATERAL (
            SELECT i.scale, i.cap_kopecks FROM regulations.item AS i WHERE i.item = k.item
            OFFSET 0
        ) AS i ON TRUE
    ) AS c
    ORDER BY c.line_no, c.part
$$;

-- The lines of a completion as far as they are within what was reserved; a line that is of another
-- item is left out.
CREATE OR REPLACE FUNCTION engine.within(
    p_lines engine.line[], p_parts journal.line[]
) RETURNS engine.line[]
LANGUAGE sql STABLE AS $$
    SELECT array_agg(ROW(
        l.ordinal, l.line_no, l.item, least(l.quantity, q.quantity), l.unit_okei, l.scale,
        least(l.gross_kopecks, q.gross_kopecks)
    )::engine.line)
    FROM unnest(p_lines) AS l
    INNER JOIN (
        SELECT p.line_no, min(p.item) AS item, sum(p.quantity)::bigint AS quantity,
            sum(p.gross_kopecks)::bigint AS gross_kopecks
        FROM unnest(p_parts) AS p
        GROUP BY p.line_no
    ) AS q ON l.line_no = q.line_no
    WHERE engine.line_fits(l, q.item)
$$;

-- The parts of a completion: what it kept of the hold and, last in its line, what is beyond,
-- covered by nobody. The excess is in the unit of the service's allowances: quantity, kopecks of
-- the price, or one for the line; none if a reversal closed the completion's key before it came.
CREATE OR REPLACE FUNCTION engine.used_parts(
    p_request engine.request, p_lines engine.line[], p_held journal.line[], p_kept journal.line[]
) RETURNS journal.line[]
LANGUAGE sql STABLE AS $$
    WITH kept AS (
        SELECT k.* FROM unnest(p_kept) AS k WHERE k.quantity > 0 OR k.gross_kopecks > 0
    )
    SELECT array_agg(u.part_row ORDER BY (u.part_row).line_no, (u.part_row).part)
    FROM (
        SELECT ROW(k.*)::journal.line AS part_row FROM kept AS k
        UNION ALL
        SELECT ROW(
            p_request.bucket, p_request.business_date, p_request.terminal_id, p_request.stan,
            p_request.message_class, p_request.assigned, b.line_no, b.part, b.item, b.quantity,
            b.gross_kopecks, 0, b.gross_kopecks, NULL, NULL, 0,
            CASE
                WHEN p_request.closed THEN 0
                WHEN s.consumes = 1 THEN b.quantity
                WHEN s.consumes = 2 THEN b.gross_kopecks
                WHEN s.consumes = 3 AND b.kept = 0 AND b.quantity > 0 THEN 1
                ELSE 0
            END,
            NULL, NULL, NULL, NULL, NULL
        )::journal.line
        FROM (
            SELECT
                l.line_no, l.item, l.quantity - coalesce(k.quantity, 0) AS quantity,
                l.gross_kopecks - coalesce(k.gross_kopecks, 0) AS gross_kopecks,
                coalesce(k.parts, 0) AS kept,
                (1 + coalesce(
                    (SELECT max(h.part) FROM unnest(p_held) AS h WHERE h.line_no = l.line_no), 0
                ))::smallint AS part
            FROM unnest(p_lines) AS l
            LEFT JOIN (
                SELECT k.line_no, sum(k.quantity) AS quantity,
                    sum(k.gross_kopecks) AS gross_kopecks, count(*) AS parts
                FROM kept AS k GROUP BY k.line_no
            ) AS k ON l.line_no = k.line_no
        ) AS b
        LEFT JOIN LATERAL (
            SELECT s.consumes FROM regulations.service AS s
            WHERE s.service = p_request.service AND s.version = p_request.service_version
            OFFSET 0
        ) AS s ON TRUE
        -- a line of which nothing was used has a part all the same
        WHERE b.kept = 0 OR b.quantity > 0 OR b.gross_kopecks > 0
    ) AS u
$$;

-- What gives a reservation's hold back beside the parts of its completion: debits only, under part
-- numbers below zero.
CREATE OR REPLACE FUNCTION engine.released(p_held journal.line[]) RETURNS journal.line[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(array_agg(ROW(
        h.bucket, h.business_date, h.terminal_id, h.stan, h.message_class, h.assigned, h.line_no,
        -h.part, h.item, 0, 0, 0, 0, h.allowance_id, h.period_start, -h.debited, -h.excess,
        h.entitlement_id, h.measure, h.category, h.funding, h.tariff
    )::journal.line), '{}')
    FROM unnest(p_held) AS h
    WHERE h.debited > 0 OR h.excess > 0
$$;

-- Lay out what each line of the judged requests asks of which allowance, in order of use: lowest
-- priority number first, then what ends first. Ordered by request, line, order of use.
CREATE OR REPLACE FUNCTION engine.claims(
    p_judgements engine.judgement[], p_lines engine.line[]
) RETURNS engine.claim[]
LANGUAGE sql STABLE AS $$
    SELECT array_agg(ROW(
        c.ordinal, c.mode, c.refusal, c.line_no, c.item, c.item_class, c.quantity,
        c.gross_kopecks, c.unit_okei, c.scale, c.malformed, c.consumes, c.need, c.cap_kopecks,
        c.percent, c.tariff, c.slot, c.allowance_id, c.period_start, c.period_end,
        c.entitlement_id, c.measure, c.category, c.funding, c.allowance_unit_okei,
        c.allowance_scale, c.granted, c.remaining,
        (c.next_ordinal, c.next_line_no) IS DISTINCT FROM (c.ordinal, c.line_no),
        c.next_ordinal IS DISTINCT FROM c.ordinal
    )::engine.claim ORDER BY c.ordinal, c.line_no, c.priority, c.valid_to, c.allowance_id)
    FROM (
        SELECT
            lead(j.ordinal) OVER in_order AS next_ordinal,
            lead(l.line_no) OVER in_order AS next_line_no,
            j.ordinal, j.mode, j.refusal, l.line_no, l.item, i.item_class, l.quantity,
            l.gross_kopecks, coalesce(i.unit_okei, l.unit_okei) AS unit_okei,
            coalesce(i.scale, l.scale) AS scale, j.consumes, a.percent, a.tariff,
            a.allowance_id, a.period_start, a.period_end, a.entitlement_id, a.measure,
            a.category, a.funding, a.unit_okei AS allowance_unit_okei,
            a.scale AS allowance_scale, a.granted, a.remaining, a.priority, a.valid_to,
            -- kopecks are taken from an allowance in roubles of scale 2, quantities from one that
            -- counts what the item counts
            coalesce(l.quantity < 1 OR l.gross_kopecks < 0, TRUE)
            OR coalesce((l.unit_okei, l.scale) <> (i.unit_okei, i.scale), i.item_class IS NOT NULL)
            OR CASE j.consumes
                WHEN 1 THEN (a.unit_okei, a.scale) <> (i.unit_okei, i.scale)
                WHEN 2 THEN (a.unit_okei, a.scale) <> (383, 2)
            END IS TRUE AS malformed,
            CASE WHEN a.capped THEN i.cap_kopecks END AS cap_kopecks,
            CASE j.consumes
                WHEN 1 THEN l.quantity
                WHEN 2 THEN engine.covered_kopecks(
                    l.gross_kopecks, l.gross_kopecks, l.quantity, l.scale,
                    CASE WHEN a.capped THEN i.cap_kopecks END, a.percent
                )
                WHEN 3 THEN 1
            END AS need,
            CASE WHEN a.allowance_id IS NOT NULL
                THEN dense_rank() OVER (ORDER BY a.allowance_id, a.period_start)
            END::integer AS slot
        FROM unnest(p_judgements) AS j
        LEFT JOIN unnest(p_lines) AS l
            ON j.ordinal = l.ordinal AND (j.consumes IS NOT NULL OR j.mode = 3)
        LEFT JOIN LATERAL (
            SELECT n.item_class, n.cap_kopecks, n.unit_okei, n.scale
            FROM regulations.item AS n WHERE n.item = l.item LIMIT 1
        ) AS i ON TRUE
        LEFT JOIN LATERAL (
            SELECT
                w.*, r.percent, r.capped, r.tariff, period.period_start,
                rights.period_end(w.period, period.period_start, w.valid_to) AS period_end,
                greatest(0, w.granted - coalesce(n.used, 0)) AS remaining
            FROM rights.allowance AS w
            CROSS JOIN LATERAL (
                SELECT r.percent, r.capped, r.tariff FROM regulations.price_rule AS r
                WHERE r.service = j.service AND r.version = j.service_version
                    AND r.measure = w.measure
                LIMIT 1
            ) AS r
            CROSS JOIN LATERAL (
                SELECT rights.period_start(w.period, j.local_date, w.valid_from) AS period_start
            ) AS period
            LEFT JOIN LATERAL (
                SELECT n.used FROM rights.counter AS n
                WHERE n.bucket = w.bucket AND n.allowance_id = w.allowance_id
                    AND n.period_start = period.period_start
                LIMIT 1
            ) AS n ON TRUE
            WHERE w.bucket = j.bucket AND w.holder_id = j.holder_id
                AND w.item_class = i.item_class
                AND j.local_date BETWEEN w.valid_from AND w.valid_to
            -- a named limit: one line draws on at most so many allowances, those used up last
            ORDER BY w.granted <= coalesce(n.used, 0), w.priority, w.valid_to, w.allowance_id
            LIMIT 16
        ) AS a ON j.refusal IS NULL
        WINDOW in_order AS (
            ORDER BY j.ordinal, l.line_no, a.priority, a.valid_to, a.allowance_id
        )
    ) AS c
$$;

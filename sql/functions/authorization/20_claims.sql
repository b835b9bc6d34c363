-- Lay out what each line of the batch asks of which allowance. A line has a claim for each
-- allowance it may draw on; a line that none is open to, and a request without lines, has one
-- claim without. The order of use within a line is `priority` (the lowest number first), then what
-- ends first.
CREATE OR REPLACE FUNCTION engine.claims(
    p_requests engine.request[], p_lines engine.line[], p_terminal_ids text[], p_services text[],
    p_decided_at timestamptz, p_posting_date date
) RETURNS TABLE (
    claim_no integer,
    -- the same number for the same allowance and period; NULL: no allowance
    slot integer,
    ordinal smallint,
    mode smallint,
    refusal smallint,
    local_date date,
    latest_version integer,
    card_valid_to date,
    signed_at timestamptz,
    consumes smallint,
    reserve_minutes integer,
    line_no smallint,
    item text,
    quantity bigint,
    gross_kopecks bigint,
    item_class text,
    -- the item's own, which the line should have
    unit_okei smallint,
    scale smallint,
    cap_kopecks bigint,
    -- whether the units of line, item and allowance differ, or the line's numbers make no sense
    malformed boolean,
    -- what the line needs, in the allowance's unit
    need bigint,
    bucket smallint,
    allowance_id uuid,
    period_start date,
    period_end date,
    entitlement_id uuid,
    measure text,
    category text,
    funding text,
    allowance_unit_okei smallint,
    allowance_scale smallint,
    granted bigint,
    -- what the allowance held before the batch
    remaining bigint,
    priority smallint,
    valid_to date,
    percent smallint,
    tariff text,
    -- of a course: the least that must be left for more to be given today; NULL: no course
    refill_floor bigint,
    course_days smallint,
    course_from date,
    refill_percent smallint,
    refill_days smallint
)
LANGUAGE sql STABLE ROWS 256 AS $$
    SELECT
        (row_number() OVER by_allowance)::integer,
        CASE WHEN a.allowance_id IS NOT NULL THEN dense_rank() OVER by_allowance END::integer,
        j.ordinal, j.mode, j.refusal, j.local_date, j.latest_version, j.card_valid_to,
        j.signed_at, j.consumes, j.reserve_minutes,
        l.line_no, l.item, l.quantity, l.gross_kopecks, i.item_class,
        coalesce(i.unit_okei, l.unit_okei), coalesce(i.scale, l.scale),
        CASE WHEN a.capped THEN i.cap_kopecks END,
        engine.malformed(
            l.quantity, l.gross_kopecks, l.unit_okei, l.scale, i.item_class, i.unit_okei, i.scale,
            j.consumes, a.unit_okei, a.scale
        ) OR (j.consumes = 4 AND i.item_class IS NULL),
        engine.need(j.consumes, l.quantity, engine.line_covered_kopecks(
            l.gross_kopecks, l.quantity, l.scale, CASE WHEN a.capped THEN i.cap_kopecks END,
            a.percent
        )),
        j.bucket, a.allowance_id, a.period_start,
        rights.period_end(a.period, a.period_start, a.valid_to), a.entitlement_id, a.measure,
        a.category, a.funding, a.unit_okei, a.scale, a.granted,
        greatest(0, a.granted - coalesce(n.used, 0)), a.priority, a.valid_to, a.percent, a.tariff,
        CASE WHEN j.refill_percent IS NOT NULL AND a.course_days IS NOT NULL THEN engine.refill_floor(
            a.granted, a.course_days, j.refill_percent, j.refill_days, j.local_date - a.valid_from
        ) END,
        a.course_days, a.valid_from, j.refill_percent, j.refill_days
    FROM engine.judge(
        p_requests, p_terminal_ids, p_services, p_decided_at, p_posting_date
    ) AS j
    LEFT JOIN unnest(p_lines) AS l
        ON j.ordinal = l.ordinal AND (j.consumes IS NOT NULL OR j.mode = 3)
    LEFT JOIN (
        SELECT i.* FROM regulations.item AS i
        WHERE i.item = ANY (ARRAY(SELECT m.item FROM unnest(p_lines) AS m))
    ) AS i ON l.item = i.item
    LEFT JOIN (
        SELECT e.service, e.version, array_agg(e.measure) AS measures, array_agg(e) AS rules
        FROM regulations.price_rule AS e
        WHERE e.service = ANY (p_services)
        GROUP BY e.service, e.version
    ) AS opens ON j.service = opens.service AND j.service_version = opens.version
    LEFT JOIN LATERAL (
        SELECT
            w.allowance_id, w.entitlement_id, w.measure, w.category, w.funding, w.unit_okei,
            w.scale, w.granted, w.period, w.valid_from, w.valid_to, w.priority, w.course_days,
            r.percent, r.tariff, r.capped,
            rights.period_start(w.period, j.local_date, w.valid_from) AS period_start
        FROM rights.allowance AS w
        INNER JOIN unnest(opens.rules) AS r
            ON w.measure = r.measure AND engine.is_for(r.categories, r.excluded, w.category)
        WHERE j.refusal IS NULL
            AND w.bucket = j.bucket AND w.holder_id = j.holder_id
            AND w.item_class = i.item_class AND w.measure = ANY (opens.measures)
            AND j.local_date BETWEEN w.valid_from AND w.valid_to
            AND (w.item IS NULL OR j.substitution OR w.item = l.item)
        -- no limit, and yet a fence: looked up line by line, never joined as a whole
        OFFSET 0
    ) AS a ON TRUE
    LEFT JOIN LATERAL (
        SELECT n.used FROM rights.counter AS n
        WHERE n.bucket = j.bucket AND n.allowance_id = a.allowance_id
            AND n.period_start = a.period_start
        OFFSET 0
    ) AS n ON TRUE
    WINDOW by_allowance AS (ORDER BY a.allowance_id, a.period_start)
$$;

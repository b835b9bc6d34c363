-- What each line of a batch asks of each allowance that is open to it; nothing where the request is
-- refused by other rules. `usual` tells that a sale asks so, under a key that is not known, with
-- numbers that make sense.
-- Texts are passed as variables of their own: in a record, each is found by passing all before it.
-- Written to be inlined: one SELECT, no SET, not VOLATILE.
CREATE OR REPLACE FUNCTION engine.asked(
    p_batch engine.batch, p_terminal_ids text[], p_services text[], p_decided_at timestamptz,
    p_posting_date date, p_known integer[]
) RETURNS TABLE (
    -- the ordinal of its request
    n smallint,
    line_no smallint,
    item text,
    quantity bigint,
    gross_kopecks bigint,
    covered_kopecks bigint,
    need bigint,
    local_date date,
    signed_at timestamptz,
    item_class text,
    unit_okei smallint,
    scale smallint,
    percent smallint,
    tariff text,
    bucket smallint,
    allowance_id uuid,
    period_start date,
    period_end date,
    entitlement_id uuid,
    measure text,
    category text,
    funding text,
    granted bigint,
    -- NULL: nothing was taken in this period yet
    used bigint,
    usual boolean,
    -- whether one draw on the allowance decides what the next may
    paced boolean
)
LANGUAGE sql STABLE ROWS 256 AS $$
    SELECT
        c.n, c.line_no, c.item, c.quantity, c.gross_kopecks, c.covered_kopecks, c.need,
        c.local_date, c.signed_at, c.item_class, c.unit_okei, c.scale, c.percent, c.tariff,
        c.bucket, c.allowance_id, c.period_start, c.period_end, c.entitlement_id, c.measure,
        c.category, c.funding, c.granted, k.used,
        coalesce(
            c.kind = 3 AND c.line_no IS NOT NULL AND c.need > 0 AND NOT c.malformed
            AND c.n <> ALL (p_known)
            AND (c.refill_percent IS NULL OR k.used IS NULL OR engine.refill_due(
                k.used, c.granted, c.course_days, c.refill_percent, c.refill_days, c.elapsed_days
            )),
            FALSE
        ),
        c.refill_percent IS NOT NULL
    FROM (
        SELECT
            d.n, d.kind, d.line_no, d.item, d.quantity, d.gross_kopecks, d.local_date, d.signed_at,
            d.bucket, w.item_class, w.unit_okei, w.scale, w.percent, w.tariff, w.allowance_id,
            w.period_start, rights.period_end(w.period, w.period_start, w.valid_to) AS period_end,
            w.entitlement_id, w.measure, w.category, w.funding, w.granted, w.covered_kopecks,
            engine.need(d.consumes, d.quantity, w.covered_kopecks) AS need,
            CASE WHEN w.course_days IS NOT NULL THEN d.refill_percent END AS refill_percent,
            d.refill_days, w.course_days, d.local_date - w.valid_from AS elapsed_days,
            engine.malformed(
                d.quantity, d.gross_kopecks, d.unit_okei, d.scale, d.item_class, d.item_unit_okei,
                d.item_scale, d.consumes, w.unit_okei, w.scale
            ) AS malformed,
            engine.refusal(
                d.kind, d.advice, FALSE, d.business_date, d.signed_at, d.local_date, d.proof,
                d.evidence, d.service, d.terminal_state, d.service_here, d.card_state,
                d.card_valid_to, d.authority_from, d.authority_to, d.scope, d.version,
                d.service_from, d.service_to, d.evidence_needed, d.reserve_minutes, d.visit,
                CASE WHEN d.conditional THEN engine.lacking(
                    d.bucket, d.holder_id, d.service, d.version, d.terminal_id, d.local_date
                ) END,
                p_decided_at, p_posting_date
            ) AS refusal
        FROM (
            SELECT
                l.n, l.terminal_id, l.line_no, l.item, l.quantity, l.gross_kopecks, l.unit_okei, l.scale, l.kind,
                l.advice, l.business_date, l.proof, l.evidence, l.bucket, l.holder_id, l.service,
                l.signed_at, t.state AS terminal_state, here.service AS service_here,
                a.card_state, a.card_valid_to, a.valid_from AS authority_from,
                a.valid_to AS authority_to, a.scope AS scope, s.version, s.consumes,
                s.evidence AS evidence_needed, s.valid_from AS service_from,
                s.valid_to + s.grace_days AS service_to, s.reserve_minutes, s.visit, s.conditional,
                s.substitution, s.refill_percent, s.refill_days, i.item_class,
                i.unit_okei AS item_unit_okei, i.scale AS item_scale, i.cap_kopecks,
                (CASE WHEN l.advice THEN l.signed_at ELSE p_decided_at END
                    AT TIME ZONE g.time_zone)::date AS local_date
            FROM (
                SELECT
                    x.n, x.item, (p_batch).line_no[x.m] AS line_no,
                    (p_batch).quantity[x.m] AS quantity,
                    (p_batch).gross_kopecks[x.m] AS gross_kopecks,
                    (p_batch).unit_okei[x.m] AS unit_okei, (p_batch).scale[x.m] AS scale,
                    p_terminal_ids[x.n] AS terminal_id, p_services[x.n] AS service,
                    (p_batch).kind[x.n] AS kind, (p_batch).advice[x.n] AS advice,
                    (p_batch).business_date[x.n] AS business_date,
                    (p_batch).proof[x.n] AS proof, (p_batch).evidence[x.n] AS evidence,
                    (p_batch).bucket[x.n] AS bucket, (p_batch).holder_id[x.n] AS holder_id,
                    (p_batch).card_id[x.n] AS card_id,
                    (p_batch).service_version[x.n] AS service_version,
                    engine.at_time((p_batch).signed_at_ms[x.n]) AS signed_at
                FROM unnest((p_batch).line_ordinal, (p_batch).item)
                    WITH ORDINALITY AS x (n, item, m)
                -- a fence, here and below: each value is worked out once, each row looked up once
                OFFSET 0
            ) AS l
            LEFT JOIN terminals.terminal AS t ON l.terminal_id = t.terminal_id
            LEFT JOIN terminals.terminal_service AS here
                ON l.terminal_id = here.terminal_id AND l.service = here.service
            LEFT JOIN rights.card_authority AS a
                ON l.bucket = a.bucket AND l.holder_id = a.holder_id AND l.card_id = a.card_id
            LEFT JOIN regulations.region AS g ON coalesce(a.region, t.region) = g.region
            LEFT JOIN regulations.service AS s
                ON l.service = s.service AND l.service_version = s.version
            LEFT JOIN regulations.item AS i ON l.item = i.item
            OFFSET 0
        ) AS d
        CROSS JOIN LATERAL (
            SELECT
                w.*, r.percent, r.tariff,
                rights.period_start(w.period, d.local_date, w.valid_from) AS period_start,
                engine.line_covered_kopecks(
                    d.gross_kopecks, d.quantity, d.scale,
                    CASE WHEN r.capped THEN d.cap_kopecks END, r.percent
                ) AS covered_kopecks
            FROM (
                SELECT w.* FROM rights.allowance AS w
                WHERE w.bucket = d.bucket AND w.holder_id = d.holder_id
                    AND w.item_class = d.item_class
                    AND d.local_date BETWEEN w.valid_from AND w.valid_to
                    AND (w.item IS NULL OR d.substitution OR w.item = d.item)
                OFFSET 0
            ) AS w
            INNER JOIN regulations.price_rule AS r
                ON r.service = d.service AND r.version = d.version AND w.measure = r.measure
                AND engine.is_for(r.categories, r.excluded, w.category)
            OFFSET 0
        ) AS w
        OFFSET 0
    ) AS c
    LEFT JOIN rights.counter AS k
        ON c.bucket = k.bucket AND c.allowance_id = k.allowance_id
        AND c.period_start = k.period_start
    WHERE c.refusal IS NULL
$$;

-- Ring up a regulation's test case with an invented citizen, card and terminal, by the same engine
-- that decides at the counter. It writes like any transaction does: the caller rolls back.
-- `p_lines` are those of request 1. Returns what is covered of each line (NULL when declined) and
-- what each right holds afterwards, in the order of `p_rights`.
CREATE OR REPLACE FUNCTION regulations.try_case(
    p_service text, p_version integer, p_evidence smallint, p_day date,
    p_rights regulations.trial_right[], p_lines engine.line[],
    OUT outcome smallint, OUT covered_kopecks bigint[], OUT remaining bigint[]
)
LANGUAGE plpgsql AS $$
DECLARE
    trial_terminal CONSTANT text := '0TRIAL00';
    -- a place of this database that no worker comes to
    trial_lane CONSTANT smallint := (SELECT t.target * 1024 FROM rights.target AS t);
    trial_block CONSTANT bigint := 1099511627776;
    -- somebody whose rights belong into this database
    citizen CONSTANT uuid := (
        SELECT one.id
        FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, 65536)) AS one
        INNER JOIN rights.target AS t
            ON rights.bucket_of(one.id) BETWEEN t.first_bucket AND t.last_bucket
        LIMIT 1
    );
    card CONSTANT uuid := gen_random_uuid();
    provider CONSTANT uuid := gen_random_uuid();
    region CONSTANT regulations.region := (
        SELECT r FROM regulations.region AS r ORDER BY r.region LIMIT 1
    );
    noon CONSTANT timestamptz := (p_day + time '12:00') AT TIME ZONE region.time_zone;
    allowance_ids CONSTANT uuid [] := array(
        SELECT gen_random_uuid() FROM generate_subscripts(p_rights, 1)
    );
BEGIN
    INSERT INTO terminals.provider (provider_id, code, inn, kind, name_ru, name_en, contract)
    VALUES (provider, trial_terminal, '0000000000', 'social', 'Проба', 'Trial', 'trial');
    INSERT INTO terminals.terminal (terminal_id, provider_id, region)
    VALUES (trial_terminal, provider, region.region);
    INSERT INTO terminals.terminal_service (terminal_id, service)
    VALUES (trial_terminal, p_service);
    INSERT INTO rights.card_authority (
        bucket, holder_id, card_id, region, valid_from, valid_to, card_state, card_valid_to
    ) VALUES (
        rights.bucket_of(citizen), citizen, card, region.region, p_day, p_day, 1, p_day
    );
    INSERT INTO rights.allowance (
        bucket, holder_id, allowance_id, entitlement_id, measure, category, funding, item_class,
        unit_okei, scale, granted, period, valid_from, valid_to, priority
    )
    SELECT
        rights.bucket_of(citizen), citizen, allowance_ids[r.n], gen_random_uuid(), r.measure,
        'TRIAL', m.funding, r.item_class, r.unit_okei, r.scale, r.granted, r.period, p_day,
        p_day, r.priority
    FROM unnest(p_rights) WITH ORDINALITY AS r (
        measure, item_class, unit_okei, scale, granted, used, period, priority, n
    )
    INNER JOIN regulations.measure AS m ON r.measure = m.measure;
    INSERT INTO rights.counter (bucket, allowance_id, period_start, used, granted)
    SELECT
        w.bucket, w.allowance_id, rights.period_start(w.period, p_day, w.valid_from), r.used,
        w.granted
    FROM unnest(p_rights) WITH ORDINALITY AS r (
        measure, item_class, unit_okei, scale, granted, used, period, priority, n
    )
    INNER JOIN rights.allowance AS w
        ON w.bucket = rights.bucket_of(citizen) AND w.holder_id = citizen
        AND w.allowance_id = allowance_ids[r.n];

    SELECT a.outcome, a.covered_kopecks INTO outcome, covered_kopecks
    FROM engine.authorize(
        trial_lane, trial_block, noon, p_day,
        ROW(
            ARRAY[rights.bucket_of(citizen)], ARRAY[p_day], ARRAY[trial_terminal], ARRAY[1],
            ARRAY[2], ARRAY[3], ARRAY[FALSE], ARRAY[p_evidence], ARRAY[1], ARRAY[card],
            ARRAY[citizen], ARRAY[p_service], ARRAY[p_version], NULL, NULL, NULL, NULL,
            ARRAY[1000 * extract(epoch FROM noon)], ARRAY[sha256(citizen::text::bytea)],
            ARRAY[0], ARRAY[cardinality(p_lines)],
            array(SELECT l.ordinal FROM unnest(p_lines) AS l),
            array(SELECT l.line_no FROM unnest(p_lines) AS l),
            array(SELECT l.item FROM unnest(p_lines) AS l),
            array(SELECT l.quantity FROM unnest(p_lines) AS l),
            array(SELECT l.unit_okei FROM unnest(p_lines) AS l),
            array(SELECT l.scale FROM unnest(p_lines) AS l),
            array(SELECT l.gross_kopecks FROM unnest(p_lines) AS l)
        )::engine.batch
    ) AS a;
    remaining := array(
        SELECT w.granted - n.used
        FROM unnest(allowance_ids) WITH ORDINALITY AS i (allowance_id, number)
        INNER JOIN rights.allowance AS w
            ON w.bucket = rights.bucket_of(citizen) AND w.holder_id = citizen
            AND i.allowance_id = w.allowance_id
        INNER JOIN rights.counter AS n ON n.bucket = w.bucket AND w.allowance_id = n.allowance_id
        ORDER BY i.number
    );
END
$$;

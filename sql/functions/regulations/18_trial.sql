-- Put the citizen, card, terminal and rights of a test case into their tables.
CREATE OR REPLACE FUNCTION regulations.put_trial(
    p_service text, p_day date, p_region smallint, p_citizen uuid,
    p_rights regulations.trial_right[], p_allowance_ids uuid[], p_facts regulations.trial_fact[]
) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    trial_terminal CONSTANT text := '0TRIAL00';
    provider CONSTANT uuid := gen_random_uuid();
BEGIN
    INSERT INTO terminals.provider (provider_id, code, inn, kind, name_ru, name_en, contract)
    VALUES (provider, trial_terminal, '0000000000', 'social', 'Проба', 'Trial', 'trial');
    INSERT INTO terminals.terminal (terminal_id, provider_id, region)
    VALUES (trial_terminal, provider, p_region);
    INSERT INTO terminals.terminal_service (terminal_id, service)
    VALUES (trial_terminal, p_service);
    INSERT INTO rights.card_authority (
        bucket, holder_id, card_id, region, valid_from, valid_to, card_state, card_valid_to
    ) VALUES (
        rights.bucket_of(p_citizen), p_citizen, p_citizen, p_region, p_day, p_day + 2, 1, p_day + 2
    );
    INSERT INTO rights.holder_fact (bucket, holder_id, fact, valid_from, valid_to, provider_code)
    SELECT
        rights.bucket_of(p_citizen), p_citizen, f.fact, f.valid_to - 366, f.valid_to,
        CASE WHEN f.here THEN trial_terminal END
    FROM unnest(p_facts) AS f;
    INSERT INTO rights.allowance (
        bucket, holder_id, allowance_id, entitlement_id, measure, category, funding, item_class,
        unit_okei, scale, granted, period, valid_from, valid_to, priority, item, course_days
    )
    SELECT
        rights.bucket_of(p_citizen), p_citizen, p_allowance_ids[r.n], gen_random_uuid(), r.measure,
        r.category, m.funding, r.item_class, r.unit_okei, r.scale, r.granted, r.period,
        p_day - r.running_days, p_day + 2, r.priority, r.item, r.course_days
    FROM unnest(p_rights) WITH ORDINALITY AS r (
        measure, item_class, unit_okei, scale, granted, used, period, priority, category, item,
        course_days, running_days, n
    )
    INNER JOIN regulations.measure AS m ON r.measure = m.measure;
    INSERT INTO rights.counter (bucket, allowance_id, period_start, used, granted)
    SELECT
        w.bucket, w.allowance_id, rights.period_start(w.period, p_day, w.valid_from),
        p_rights[r.n].used, w.granted
    FROM generate_subscripts(p_allowance_ids, 1) AS r (n)
    INNER JOIN rights.allowance AS w
        ON w.bucket = rights.bucket_of(p_citizen) AND w.holder_id = p_citizen
        AND w.allowance_id = p_allowance_ids[r.n];
END
$$;

-- Decide one request of a test case at `p_at`: a sale (kind 3), a start (7) or its finish (8).
CREATE OR REPLACE FUNCTION regulations.ask_trial(
    p_service text, p_version integer, p_evidence smallint, p_day date, p_citizen uuid,
    p_at timestamptz, p_kind smallint, p_challenge text, p_lines engine.line[]
) RETURNS SETOF engine.answer
LANGUAGE sql AS $$
    SELECT a.*
    FROM engine.authorize(
        -- a place of this database that no worker comes to
        (SELECT t.target * 1024 FROM rights.target AS t)::smallint, 1099511627776 + p_kind, p_at,
        p_day,
        ROW(
            ARRAY[rights.bucket_of(p_citizen)], ARRAY[p_day], ARRAY['0TRIAL00'], ARRAY[p_kind],
            ARRAY[CASE p_kind WHEN 7 THEN 1 ELSE 2 END], ARRAY[p_kind], ARRAY[FALSE],
            ARRAY[p_evidence], ARRAY[1], ARRAY[p_citizen], ARRAY[p_citizen], ARRAY[p_service],
            ARRAY[p_version],
            CASE p_kind WHEN 8 THEN ARRAY[p_day] END, CASE p_kind WHEN 8 THEN ARRAY['0TRIAL00'] END,
            CASE p_kind WHEN 8 THEN ARRAY[7] END, CASE p_kind WHEN 8 THEN ARRAY[1] END,
            ARRAY[1000 * extract(EPOCH FROM p_at)],
            -- a digest, no signature, and of the request's bytes those that bear the challenge
            ARRAY[
                sha256(p_kind::text::bytea) || decode(repeat('00', 91), 'hex')
                || coalesce('\x10'::bytea || decode(p_challenge, 'hex'), '\x00')
            ],
            ARRAY[0], ARRAY[cardinality(p_lines)],
            -- a batch of one
            array(SELECT 1 FROM unnest(p_lines) AS l),
            array(SELECT l.line_no FROM unnest(p_lines) AS l),
            array(SELECT l.item FROM unnest(p_lines) AS l),
            array(SELECT l.quantity FROM unnest(p_lines) AS l),
            array(SELECT l.unit_okei FROM unnest(p_lines) AS l),
            array(SELECT l.scale FROM unnest(p_lines) AS l),
            array(SELECT l.gross_kopecks FROM unnest(p_lines) AS l)
        )::engine.batch
    ) AS a
$$;

-- The facts of a card that may not act for the holder: whether it has no authority at all, one for
-- other dates, or one for other services.
CREATE OR REPLACE FUNCTION engine.authority_facts(p_request engine.request, p_local_date date)
RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN count(*) = 0 THEN jsonb_build_object('authority', 'none')
        WHEN bool_or(p_local_date BETWEEN a.valid_from AND a.valid_to)
            THEN jsonb_build_object('authority', 'scope')
        ELSE jsonb_build_object(
            'authority', 'dates', 'authority_from', min(a.valid_from),
            'authority_to', max(a.valid_to)
        )
    END
    FROM rights.card_authority AS a
    WHERE a.bucket = (p_request).bucket AND a.holder_id = (p_request).holder_id
        AND a.card_id = (p_request).card_id
$$;

-- The facts of a version that is not in force: the newest that has begun, and since when it has
-- been (or will be) in force; or, if that is the version asked for, until when it was.
CREATE OR REPLACE FUNCTION engine.version_facts(
    p_request engine.request, p_local_date date, p_latest_version integer,
    p_reserve_minutes integer
) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_strip_nulls(jsonb_build_object(
        'version', s.version::text,
        'since', CASE WHEN s.version <> (p_request).service_version OR s.valid_from > p_local_date
            THEN s.valid_from END,
        'until', CASE WHEN s.version = (p_request).service_version AND s.valid_to < p_local_date
            THEN s.valid_to END,
        'reserve', CASE WHEN p_reserve_minutes = 0 THEN 'no' END,
        'visit', CASE WHEN s.visit = 2 AND (p_request).kind = 3 THEN 'only' END
    ))
    FROM regulations.service AS s
    WHERE s.service = (p_request).service AND s.version = p_latest_version
$$;

-- The facts of an item that no allowance is open to: what is missing is the item itself, a right to
-- it, a right that this service opens to its category, one to this very item (substitute), or one
-- that has begun (since) and not ended (until).
CREATE OR REPLACE FUNCTION engine.missing_facts(
    p_request engine.request, p_item text, p_local_date date
) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_strip_nulls(jsonb_build_object('item', p_item) || CASE
        WHEN m.items = 0 THEN jsonb_build_object('missing', 'item')
        WHEN m.rights = 0 THEN jsonb_build_object('missing', 'right')
        WHEN m.opened = 0 THEN jsonb_build_object('missing', 'service')
        WHEN m.fitting = 0 THEN jsonb_build_object('missing', 'substitute')
        WHEN m.begins IS NOT NULL THEN jsonb_build_object('missing', 'begun', 'since', m.begins)
        ELSE jsonb_build_object('missing', 'ended', 'until', m.ended)
    END)
    FROM (
        SELECT
            count(i.item) AS items, count(w.allowance_id) AS rights, count(r.measure) AS opened,
            count(r.measure) FILTER (WHERE w.item IS NULL OR w.item = p_item) AS fitting,
            min(w.valid_from) FILTER (
                WHERE r.measure IS NOT NULL AND w.valid_from > p_local_date
            ) AS begins,
            max(w.valid_to) FILTER (
                WHERE r.measure IS NOT NULL AND w.valid_to < p_local_date
            ) AS ended
        FROM regulations.item AS i
        LEFT JOIN rights.allowance AS w
            ON i.item_class = w.item_class AND w.bucket = (p_request).bucket
            AND w.holder_id = (p_request).holder_id
        LEFT JOIN regulations.price_rule AS r
            ON w.measure = r.measure AND r.service = (p_request).service
            AND r.version = (p_request).service_version
            AND engine.is_for(r.categories, r.excluded, w.category)
        WHERE i.item = p_item
    ) AS m
$$;

-- The number that a visit's start is given: 122 random bits, as 32 hexadecimal digits.
CREATE OR REPLACE FUNCTION engine.challenge_for(p_request engine.request) RETURNS text
LANGUAGE sql AS $$
    SELECT replace(gen_random_uuid()::text, '-', '')
$$;

-- The facts of a service that requires what is not known of the holder; NULL if it has all.
CREATE OR REPLACE FUNCTION engine.lacking_facts(p_request engine.request, p_local_date date)
RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('missing', l.fact)
    FROM engine.lacking(
        (p_request).bucket, (p_request).holder_id, (p_request).service,
        (p_request).service_version, (p_request).terminal_id, p_local_date
    ) AS l (fact)
    WHERE l.fact IS NOT NULL
$$;

-- The facts that explain a refusal, in codes and numbers (processing/wire/explanation.py makes
-- sentences of them): those of its reason, and of a conflict the reason itself as well. There is
-- room for four: a reserve that holds something (its p_reserve_minutes are more than 0, and nothing
-- was against it but a short allowance) tells when it ends, in place of when the allowance begins
-- anew; a conflict leaves out what was asked.
-- Not inlined, and called for no plain approval: what it looks up costs a refusal only.
CREATE OR REPLACE FUNCTION engine.facts(
    p_request engine.request, p_outcome smallint, p_reason smallint, p_line_no smallint,
    p_item text, p_unit_okei smallint, p_remaining bigint, p_asked bigint, p_period_end date,
    p_allowance_end date, p_local_date date, p_card_valid_to date, p_latest_version integer,
    p_decided_at timestamptz, p_posting_date date, p_reserve_minutes integer
) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN p_outcome > 700 AND p_reserve_minutes > 0 AND p_reason > 600
            THEN (coalesce(e.facts, '{}') - '{until,ends,since}'::text [])
                || jsonb_build_object('expires', engine.utc_text(
                    p_decided_at + p_reserve_minutes * interval '1 minute'
                ))
                -- A visit that begins gets a number nobody could know before, which its finish has
                -- to sign: so it was not signed at the start. What began without the centre has none.
                || CASE WHEN (p_request).kind = 7 AND NOT (p_request).advice
                    THEN jsonb_build_object('challenge', engine.challenge_for(p_request))
                    ELSE '{}' END
                - CASE WHEN (p_request).kind = 7 THEN 'asked' ELSE '' END
        ELSE e.facts
    END
    FROM (
        SELECT CASE p_outcome
            WHEN 701 THEN (coalesce(f.facts, '{}') - 'asked')
                || jsonb_build_object('reason', p_reason::text)
            ELSE f.facts
        END AS facts
        FROM (
            SELECT CASE p_reason
                WHEN 202 THEN jsonb_build_object('state', coalesce((
                    SELECT t.state::text FROM terminals.terminal AS t
                    WHERE t.terminal_id = (p_request).terminal_id
                ), 'none'))
                WHEN 203 THEN jsonb_strip_nulls(jsonb_build_object(
                    'centre', engine.utc_text(p_decided_at),
                    'signed', engine.utc_text((p_request).signed_at),
                    'day', CASE WHEN (p_request).business_date
                        NOT BETWEEN p_posting_date - 3 AND p_posting_date + 1
                        THEN (p_request).business_date END
                ))
                WHEN 302 THEN CASE (p_request).proof
                    WHEN 4 THEN jsonb_build_object('pin', 'transport')
                END
                WHEN 303 THEN jsonb_strip_nulls(jsonb_build_object('card_state', (
                    SELECT a.card_state::text FROM rights.card_authority AS a
                    WHERE a.bucket = (p_request).bucket AND a.holder_id = (p_request).holder_id
                        AND a.card_id = (p_request).card_id
                )))
                WHEN 304 THEN jsonb_build_object('valid_to', p_card_valid_to)
                WHEN 305 THEN engine.authority_facts(p_request, p_local_date)
                WHEN 403 THEN engine.version_facts(
                    p_request, p_local_date, p_latest_version, p_reserve_minutes
                )
                WHEN 404 THEN jsonb_strip_nulls(jsonb_build_object(
                    'given', (p_request).evidence::text,
                    'needed', (
                        SELECT s.evidence::text FROM regulations.service AS s
                        WHERE s.service = (p_request).service
                            AND s.version = (p_request).service_version
                    )
                ))
                WHEN 405 THEN jsonb_strip_nulls(jsonb_build_object(
                    'line', p_line_no::text, 'item', p_item, 'unit', p_unit_okei::text
                ))
                WHEN 601 THEN coalesce(
                    engine.lacking_facts(p_request, p_local_date),
                    engine.missing_facts(p_request, p_item, p_local_date)
                )
                WHEN 602 THEN jsonb_strip_nulls(jsonb_build_object(
                    'item', p_item, 'remaining', p_remaining::text, 'asked', p_asked::text,
                    -- the right goes on after the period, or ends with it
                    CASE WHEN p_period_end >= p_allowance_end THEN 'ends' ELSE 'until' END,
                    p_period_end
                ))
                -- the day on which it may be given stands in place of the period's end
                WHEN 603 THEN jsonb_build_object('item', p_item, 'since', p_period_end)
                WHEN 702 THEN jsonb_strip_nulls(jsonb_build_object(
                    'item', p_item, 'remaining', coalesce(p_remaining, 0)::text,
                    'asked', p_asked::text
                ))
            END AS facts
        ) AS f
    ) AS e
$$;

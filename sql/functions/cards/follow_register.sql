-- Let the cards of citizens act for whom the register says they may act today: in its services
-- and for its term. What it no longer says ends yesterday; nothing is removed, since what was
-- signed before is judged by the days on which it held. Again changes nothing. Only in the first
-- database, which tells the others of what is theirs. Returns how many cards act otherwise now.
CREATE OR REPLACE FUNCTION cards.follow_register(p_citizen_ids uuid[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    moved bigint;
BEGIN
    -- Who issues a card meanwhile waits, or has been waited for: neither misses the other.
    PERFORM pg_advisory_xact_lock(hashtextextended('cards.authority', 0));
    WITH card AS (
        SELECT
            c.card_id, c.holder_id, c.issuer_region, c.state, c.valid_to, c.represents,
            (statement_timestamp() AT TIME ZONE g.time_zone)::date AS today
        FROM cards.card AS c
        INNER JOIN regulations.region AS g ON c.issuer_region = g.region
        WHERE c.holder_id = ANY(p_citizen_ids) AND c.state <> 3
    ),

    held AS (
        SELECT a.card_id, a.bucket, a.holder_id, a.scope, a.valid_from, a.valid_to
        FROM rights.card_authority AS a INNER JOIN card AS c ON a.card_id = c.card_id
        UNION ALL
        SELECT e.card_id, e.bucket, e.holder_id, e.scope, e.valid_from, e.valid_to
        FROM cards.authority_elsewhere AS e INNER JOIN card AS c ON e.card_id = c.card_id
    ),

    said AS (
        SELECT
            c.card_id, r.holder_id, r.scope, r.valid_from, least(r.valid_to, c.valid_to) AS valid_to
        FROM card AS c
        CROSS JOIN LATERAL register.represented_by(c.holder_id, c.today) AS r
        -- a card for one person acts for no other
        WHERE
            r.valid_from <= c.valid_to
            AND (c.represents IS NULL OR r.holder_id = c.represents)
    ),

    meant AS (
        SELECT
            c.card_id, rights.bucket_of(s.holder_id) AS bucket, s.holder_id, s.scope,
            -- what went on all the time began when it began
            CASE WHEN s.valid_from > c.today THEN s.valid_from
                ELSE least(s.valid_from, h.valid_from) END AS valid_from,
            s.valid_to
        FROM card AS c
        INNER JOIN said AS s ON c.card_id = s.card_id
        LEFT JOIN held AS h ON s.card_id = h.card_id AND s.holder_id = h.holder_id
        UNION ALL
        SELECT
            h.card_id, h.bucket, h.holder_id, h.scope, least(h.valid_from, c.today - 1),
            least(h.valid_to, c.today - 1)
        FROM held AS h
        INNER JOIN card AS c ON h.card_id = c.card_id
        WHERE NOT EXISTS (
            SELECT FROM said AS s WHERE s.card_id = h.card_id AND s.holder_id = h.holder_id
        )
    ),

    other AS (
        SELECT m.* FROM meant AS m
        EXCEPT ALL
        SELECT h.* FROM held AS h
    ),

    here AS (
        INSERT INTO rights.card_authority (
            bucket, holder_id, card_id, region, scope, valid_from, valid_to, card_state,
            card_valid_to
        )
        SELECT
            o.bucket, o.holder_id, o.card_id, c.issuer_region, o.scope, o.valid_from, o.valid_to,
            c.state, c.valid_to
        FROM other AS o
        INNER JOIN card AS c ON o.card_id = c.card_id
        INNER JOIN rights.target AS t ON o.bucket BETWEEN t.first_bucket AND t.last_bucket
        ON CONFLICT (bucket, holder_id, card_id) DO UPDATE SET
            scope = excluded.scope, valid_from = excluded.valid_from, valid_to = excluded.valid_to
    ),

    elsewhere AS (
        INSERT INTO cards.authority_elsewhere (
            card_id, bucket, holder_id, scope, valid_from, valid_to
        )
        SELECT o.card_id, o.bucket, o.holder_id, o.scope, o.valid_from, o.valid_to
        FROM other AS o
        INNER JOIN rights.target AS t ON o.bucket NOT BETWEEN t.first_bucket AND t.last_bucket
        ON CONFLICT (card_id, bucket, holder_id) DO UPDATE SET
            scope = excluded.scope, valid_from = excluded.valid_from, valid_to = excluded.valid_to
        RETURNING authority_elsewhere.card_id
    ),

    -- A copy takes only what is newer than what it has.
    renewed AS (
        UPDATE cards.card AS c SET version = c.version + 1
        WHERE c.card_id IN (SELECT e.card_id FROM elsewhere AS e)
        RETURNING c.card_id, c.version
    ),

    untold AS (
        INSERT INTO cards.delivery (card_id, version)
        SELECT r.card_id, r.version FROM renewed AS r
        ON CONFLICT (card_id) DO UPDATE SET version = excluded.version
    )

    SELECT count(DISTINCT o.card_id) INTO moved FROM other AS o;
    RETURN moved;
END
$$;
REVOKE ALL ON FUNCTION cards.follow_register(uuid[]) FROM public;

-- Follow a change: of who represents whom, who lives with whom, and when somebody was born.
CREATE OR REPLACE FUNCTION cards.follow_change(p_change_id bigint) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
WITH superseded AS (
    SELECT h.kind, h.record_id, h.body FROM register.history AS h
    WHERE
        h.ended_by = p_change_id
        AND h.kind IN ('representative', 'household_member', 'citizen')
),

household AS (
    SELECT m.household_id FROM register.household_member AS m WHERE m.change_id = p_change_id
    UNION
    SELECT (s.body ->> 'household_id')::uuid FROM superseded AS s
    WHERE s.kind = 'household_member'
    UNION
    SELECT m.household_id
    FROM superseded AS s
    INNER JOIN register.citizen AS c
        ON s.record_id = c.citizen_id AND (s.body ->> 'birth_date')::date <> c.birth_date
    INNER JOIN register.household_member AS m ON c.citizen_id = m.citizen_id
    WHERE s.kind = 'citizen'
),

acting AS (
    SELECT r.representative_id AS citizen_id FROM register.representative AS r
    WHERE r.change_id = p_change_id
    UNION
    SELECT (s.body ->> 'representative_id')::uuid FROM superseded AS s
    WHERE s.kind = 'representative'
    UNION
    SELECT (s.body ->> 'citizen_id')::uuid FROM superseded AS s
    WHERE s.kind = 'household_member'
    UNION
    SELECT m.citizen_id
    FROM household AS h
    INNER JOIN register.household_member AS m ON h.household_id = m.household_id
)

SELECT cards.follow_register(array_agg(a.citizen_id))
FROM acting AS a
HAVING count(*) > 0;
$$;
REVOKE ALL ON FUNCTION cards.follow_change(bigint) FROM public;

-- Follow what the calendar changed in the last p_days: who began to represent somebody or ceased
-- to, and who came of age. Returns how many cards act otherwise now; again none.
CREATE OR REPLACE FUNCTION cards.follow_calendar(p_today date, p_days integer) RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
SELECT cards.follow_register(array_agg(a.citizen_id))
FROM (
    SELECT r.representative_id AS citizen_id FROM register.representative AS r
    WHERE
        r.valid_from BETWEEN p_today - p_days AND p_today
        OR r.valid_to BETWEEN p_today - p_days - 1 AND p_today - 1
    UNION
    SELECT c.citizen_id FROM register.citizen AS c
    WHERE
        c.birth_date BETWEEN (p_today - p_days - interval '18 years 1 day')::date
        AND (p_today - interval '18 years')::date
) AS a;
$$;
REVOKE ALL ON FUNCTION cards.follow_calendar(date, integer) FROM public;
GRANT EXECUTE ON FUNCTION cards.follow_calendar(date, integer) TO spk_issuing, spk_register;

-- Offers that nobody answered in time are withdrawn; returns how many.
CREATE OR REPLACE FUNCTION eligibility.lapse_offers(p_today date, p_by text, p_reason text)
RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
WITH lapsed AS (
    UPDATE eligibility.application AS a SET state = 'withdrawn', reason = p_reason
    WHERE a.state = 'offered' AND a.answer_by < p_today
    RETURNING a.application_id
), steps AS (
    INSERT INTO eligibility.application_step (application_id, step, state, by, reason)
    SELECT l.application_id, 1 + (
        SELECT max(s.step) FROM eligibility.application_step AS s
        WHERE s.application_id = l.application_id
    ), 'withdrawn', p_by, p_reason
    FROM lapsed AS l
)

SELECT count(*) FROM lapsed;
$$;
-- Open a task for every application whose life event was corrected or is gone; returns how many
-- are new. A person decides what follows: nothing is taken back by itself.
CREATE OR REPLACE FUNCTION eligibility.follow_events() RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
WITH opened AS (
    INSERT INTO eligibility.follow_up (application_id, event_version, what)
    SELECT
        a.application_id, coalesce(l.version, 0),
        CASE WHEN l.record_id IS NULL THEN 'withdrawn' ELSE 'corrected' END
    FROM eligibility.application AS a
    LEFT JOIN register.life_event AS l ON a.event_id = l.record_id
    WHERE a.event_id IS NOT NULL AND a.state NOT IN ('withdrawn', 'refused')
        AND l.version IS DISTINCT FROM a.event_version
    ON CONFLICT DO NOTHING
    RETURNING TRUE
)

SELECT count(*) FROM opened;
$$;
CREATE OR REPLACE FUNCTION eligibility.open_follow_ups(p_limit integer)
RETURNS TABLE (
    application_id uuid, citizen_id uuid, measure text, state text, event_version integer,
    what text, opened_at timestamptz
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
SELECT
    f.application_id, a.citizen_id, a.measure, a.state, f.event_version, f.what, f.opened_at
FROM eligibility.follow_up AS f
INNER JOIN eligibility.application AS a ON f.application_id = a.application_id
WHERE f.closed_by IS NULL
ORDER BY f.opened_at, f.application_id
LIMIT p_limit;
$$;
-- Close the open tasks of an application, with what was done; returns how many.
CREATE OR REPLACE FUNCTION eligibility.close_follow_ups(
    p_application_id uuid, p_by text, p_resolution text
) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
WITH closed AS (
    UPDATE eligibility.follow_up AS f
    SET closed_by = p_by, closed_at = clock_timestamp(), resolution = p_resolution
    WHERE f.application_id = p_application_id AND f.closed_by IS NULL
    RETURNING TRUE
)

SELECT count(*) FROM closed;
$$;
-- Put a reminder into the outbox for everything that ends within p_days_before of today, the
-- nearest of these distances counting; returns how many are new. It goes by the preferred contact
-- of the citizen, or of the household's head, where they agreed to messages; else it waits for the
-- citizen to look (channel NULL).
CREATE OR REPLACE FUNCTION eligibility.remind(p_today date, p_days_before smallint[])
RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
WITH ending AS (
    SELECT 'entitlement' AS kind, e.record_id, e.valid_to AS ends_on, coalesce(e.citizen_id, (
        SELECT m.citizen_id FROM register.household_member AS m
        WHERE m.household_id = e.household_id AND m.relation = 'head'
    )) AS citizen_id
    FROM register.entitlement AS e
    UNION ALL
    SELECT 'category', k.record_id, k.valid_to, k.citizen_id FROM register.citizen_category AS k
    UNION ALL
    SELECT 'prescription', s.record_id, s.valid_to, s.citizen_id FROM register.prescription AS s
    UNION ALL
    SELECT 'certificate', s.record_id, s.valid_to, s.citizen_id FROM register.certificate AS s
    UNION ALL
    SELECT 'service_plan', s.record_id, s.valid_to, s.citizen_id FROM register.service_plan AS s
    UNION ALL
    SELECT 'rehabilitation_plan', s.record_id, s.valid_to, s.citizen_id
    FROM register.rehabilitation_plan AS s
    UNION ALL
    SELECT 'school_meals', s.record_id, s.valid_to, s.citizen_id FROM register.school_meals AS s
    UNION ALL
    SELECT 'policy', s.record_id, s.valid_to, s.citizen_id FROM register.policy AS s
    WHERE NOT s.prolongs
    UNION ALL
    SELECT 'identity_document', d.record_id, d.valid_to, d.citizen_id
    FROM register.identity_document AS d
), due AS (
    SELECT e.kind, e.record_id, e.ends_on, e.citizen_id, (
        SELECT min(d.days) FROM unnest(p_days_before) AS d (days)
        WHERE d.days >= e.ends_on - p_today
    ) AS days_before
    FROM ending AS e
    WHERE e.ends_on BETWEEN p_today AND p_today + (
        SELECT max(d.days)::integer FROM unnest(p_days_before) AS d (days)
    )
), made AS (
    INSERT INTO register.reminder (
        citizen_id, kind, record_id, ends_on, days_before, channel, contact_id
    )
    SELECT d.citizen_id, d.kind, d.record_id, d.ends_on, d.days_before, t.channel, t.record_id
    FROM due AS d
    INNER JOIN register.citizen AS c ON d.citizen_id = c.citizen_id AND c.death_date IS NULL
    LEFT JOIN LATERAL (
        SELECT p.channel, p.record_id
        FROM (
            SELECT d.citizen_id, 0 AS rank
            UNION ALL
            SELECT h.citizen_id, 1
            FROM register.household_member AS m
            INNER JOIN register.household_member AS h ON m.household_id = h.household_id
            WHERE m.citizen_id = d.citizen_id AND h.relation = 'head'
        ) AS w
        INNER JOIN register.contact AS p ON w.citizen_id = p.citizen_id AND p.preferred
        INNER JOIN register.consent AS n ON w.citizen_id = n.citizen_id
        WHERE n.scope = 'notifications' AND n.given_on <= p_today
            AND coalesce(n.withdrawn_on > p_today, TRUE)
        ORDER BY w.rank LIMIT 1
    ) AS t ON TRUE
    ON CONFLICT DO NOTHING
    RETURNING TRUE
)

SELECT count(*) FROM made;
$$;

-- Begin to go over people; returns the run's number.
CREATE OR REPLACE FUNCTION eligibility.start_run(p_day date, p_purpose text, p_by text)
RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
INSERT INTO eligibility.run (day, purpose, started_by) VALUES (p_day, p_purpose, p_by)
RETURNING run_id;
$$;
CREATE OR REPLACE FUNCTION eligibility.end_run(p_run_id bigint, p_people integer) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
UPDATE eligibility.run AS r SET ended_at = clock_timestamp(), people = p_people
WHERE r.run_id = p_run_id;
$$;
-- Life events of these kinds that nobody looked at yet, the oldest first, with the household of
-- each. An event that was corrected before anything came of it counts as new.
CREATE OR REPLACE FUNCTION eligibility.new_events(
    p_events text[], p_after date, p_day date, p_limit integer
) RETURNS TABLE (
    event_id uuid, event_version integer, event text, happened_on date, citizen_id uuid,
    members uuid[]
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
SELECT
    l.record_id, l.version, l.event, l.happened_on, l.citizen_id,
    array(
        SELECT o.citizen_id
        FROM register.household_member AS m
        INNER JOIN register.household_member AS o ON m.household_id = o.household_id
        WHERE m.citizen_id = l.citizen_id AND o.citizen_id <> l.citizen_id
        ORDER BY o.citizen_id
    )
FROM register.life_event AS l
WHERE l.event = ANY (p_events) AND l.happened_on BETWEEN p_after AND p_day
    AND NOT EXISTS (
        SELECT FROM eligibility.seen_event AS s
        WHERE s.event_id = l.record_id AND (
            s.event_version = l.version
            OR EXISTS (SELECT FROM eligibility.application AS a WHERE a.event_id = l.record_id)
        )
    )
ORDER BY l.happened_on, l.record_id
LIMIT p_limit;
$$;
-- Note that events were looked at.
CREATE OR REPLACE FUNCTION eligibility.mark_seen(
    p_run_id bigint, p_events uuid[], p_versions integer[]
) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
INSERT INTO eligibility.seen_event (event_id, event_version, run_id)
SELECT e.event_id, e.event_version, p_run_id
FROM unnest(p_events, p_versions) AS e (event_id, event_version)
ON CONFLICT (event_id) DO UPDATE
SET event_version = excluded.event_version, run_id = excluded.run_id;
$$;
-- Who of these agreed to what by a day. Of somebody under 18 the head of the household or the
-- spouse agrees.
CREATE OR REPLACE FUNCTION eligibility.consenting(p_citizens uuid[], p_on date)
RETURNS TABLE (citizen_id uuid, scope text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
WITH agrees AS (
    SELECT c.citizen_id, c.citizen_id AS by_id
    FROM register.citizen AS c
    WHERE c.citizen_id = ANY (p_citizens)
    UNION
    SELECT c.citizen_id, o.citizen_id
    FROM register.citizen AS c
    INNER JOIN register.household_member AS m ON c.citizen_id = m.citizen_id
    INNER JOIN register.household_member AS o ON m.household_id = o.household_id
    WHERE c.citizen_id = ANY (p_citizens) AND o.relation IN ('head', 'spouse')
        AND (c.birth_date + interval '18 years')::date > p_on
)

SELECT DISTINCT a.citizen_id, n.scope
FROM agrees AS a
INNER JOIN register.consent AS n ON a.by_id = n.citizen_id
WHERE n.given_on <= p_on AND coalesce(n.withdrawn_on > p_on, TRUE);
$$;

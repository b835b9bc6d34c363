-- The records that a person's facts on a day were read from: `field` is the column of
-- eligibility.fact. For the owner's functions alone.
CREATE OR REPLACE FUNCTION eligibility.records_behind(p_citizen_id uuid, p_on date)
RETURNS TABLE (field text, kind text, record_id uuid, version integer)
LANGUAGE sql STABLE AS $$
WITH own AS (
    SELECT m.household_id FROM register.household_member AS m
    WHERE m.citizen_id = p_citizen_id
    ORDER BY m.recorded_at DESC, m.household_id LIMIT 1
)

SELECT f.field, 'citizen', c.citizen_id, c.version
FROM register.citizen AS c
CROSS JOIN (VALUES ('birth_date'), ('sex')) AS f (field)
WHERE c.citizen_id = p_citizen_id
UNION ALL
SELECT 'categories', 'category', k.record_id, k.version
FROM register.citizen_category AS k
WHERE k.citizen_id = p_citizen_id AND p_on BETWEEN k.valid_from AND k.valid_to
UNION ALL
SELECT 'household_births', 'household_member', m.record_id, m.version
FROM register.household_member AS m
WHERE m.household_id = (SELECT o.household_id FROM own AS o)
UNION ALL
SELECT 'income_kopecks', 'income', n.record_id, n.version
FROM register.household_member AS m
INNER JOIN register.income AS n ON m.citizen_id = n.citizen_id
WHERE m.household_id = (SELECT o.household_id FROM own AS o)
    AND n.month < date_trunc('month', p_on::timestamp)::date
    AND n.month >= (date_trunc('month', p_on::timestamp) - interval '3 months')::date
UNION ALL
SELECT 'resident', 'address', a.record_id, a.version
FROM register.address AS a
WHERE a.citizen_id = p_citizen_id AND a.address_kind = 'registered'
UNION ALL
SELECT f.field, 'circumstance', s.record_id, s.version
FROM register.circumstance AS s
CROSS JOIN (VALUES
    ('pregnant', '{pregnant}'::text[]), ('employed', '{employed,self_employed,unemployed}'),
    ('pensioner', '{pensioner}')
) AS f (field, words)
WHERE s.citizen_id = p_citizen_id AND s.circumstance = ANY (f.words)
    AND p_on BETWEEN s.valid_from AND coalesce(s.valid_to, 'infinity')
UNION ALL
SELECT f.field, 'income', n.record_id, n.version
FROM register.income AS n
CROSS JOIN (VALUES ('employed'), ('pensioner')) AS f (field)
WHERE n.citizen_id = p_citizen_id
    AND n.month < date_trunc('month', p_on::timestamp)::date
    AND n.month >= (date_trunc('month', p_on::timestamp) - interval '3 months')::date
UNION ALL
SELECT 'events', 'life_event', l.record_id, l.version
FROM register.life_event AS l
WHERE l.citizen_id = p_citizen_id AND l.happened_on <= p_on
UNION ALL
SELECT f.field, t.kind, t.record_id, t.version
FROM (
    SELECT 'entitlement' AS kind, e.record_id, e.version, e.holder_id, e.valid_from, e.valid_to
    FROM register.entitlement AS e
    UNION ALL
    SELECT 'certificate', e.record_id, e.version, e.citizen_id, e.valid_from, e.valid_to
    FROM register.certificate AS e
    UNION ALL
    SELECT 'service_plan', e.record_id, e.version, e.citizen_id, e.valid_from, e.valid_to
    FROM register.service_plan AS e
    UNION ALL
    SELECT 'school_meals', e.record_id, e.version, e.citizen_id, e.valid_from, e.valid_to
    FROM register.school_meals AS e
) AS t
CROSS JOIN (VALUES ('measures'), ('year_measures')) AS f (field)
WHERE t.holder_id IN (p_citizen_id, (SELECT o.household_id FROM own AS o))
    AND t.valid_to >= CASE f.field
        WHEN 'measures' THEN p_on ELSE date_trunc('year', p_on::timestamp)::date
    END
    AND t.valid_from <= CASE f.field
        WHEN 'measures' THEN p_on
        ELSE (date_trunc('year', p_on::timestamp) + interval '1 year')::date - 1
    END
UNION ALL
SELECT 'records', s.kind, s.record_id, s.version
FROM (
    SELECT 'service_plan' AS kind, s.record_id, s.version, s.citizen_id, s.valid_from, s.valid_to
    FROM register.service_plan AS s
    UNION ALL
    SELECT 'rehabilitation_plan', s.record_id, s.version, s.citizen_id, s.valid_from, s.valid_to
    FROM register.rehabilitation_plan AS s
    UNION ALL
    SELECT 'prescription', s.record_id, s.version, s.citizen_id, s.prescribed_on, s.valid_to
    FROM register.prescription AS s
    UNION ALL
    SELECT 'certificate', s.record_id, s.version, s.citizen_id, s.valid_from, s.valid_to
    FROM register.certificate AS s
    UNION ALL
    SELECT 'policy', s.record_id, s.version, s.citizen_id, s.valid_from, s.valid_to
    FROM register.policy AS s
    UNION ALL
    SELECT 'school_meals', s.record_id, s.version, s.citizen_id, s.valid_from, s.valid_to
    FROM register.school_meals AS s
) AS s
WHERE s.citizen_id = p_citizen_id
    AND p_on BETWEEN s.valid_from AND coalesce(s.valid_to, 'infinity');
$$;
REVOKE ALL ON FUNCTION eligibility.records_behind(uuid, date) FROM public, spk_register;

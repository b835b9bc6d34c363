-- The facts of the living among these people on a day, a row each. This is the one place where a
-- fact is made of records; docs/eligibility.md tells each in words.
CREATE OR REPLACE FUNCTION eligibility.facts(p_citizens uuid[], p_on date)
RETURNS SETOF eligibility.fact
LANGUAGE sql STABLE AS $$
SELECT
    c.citizen_id, own.household_id, c.region, c.birth_date, c.sex::text,
    (
        SELECT coalesce(jsonb_object_agg(k.category, k.valid_to), '{}')
        FROM register.citizen_category AS k
        WHERE k.citizen_id = c.citizen_id AND p_on BETWEEN k.valid_from AND k.valid_to
    ),
    family.births, family.income_kopecks,
    (
        SELECT TRUE FROM register.address AS a
        WHERE a.citizen_id = c.citizen_id AND a.address_kind = 'registered'
            AND coalesce(a.valid_from, '-infinity') <= p_on
    ),
    CASE
        WHEN c.sex = 'm' THEN FALSE
        WHEN now_is.circumstances && '{pregnant}' THEN TRUE
    END,
    CASE
        WHEN now_is.circumstances && '{employed,self_employed}' THEN TRUE
        WHEN earned.kinds && '{salary,business}' THEN TRUE
        WHEN now_is.circumstances && '{unemployed}' THEN FALSE
        WHEN (c.birth_date + interval '14 years')::date > p_on THEN FALSE
    END,
    CASE
        WHEN now_is.circumstances && '{pensioner}' THEN TRUE
        WHEN earned.kinds && '{pension}' THEN TRUE
        WHEN cardinality(earned.kinds) > 0 THEN FALSE
    END,
    (
        SELECT coalesce(jsonb_object_agg(e.event, e.happened_on), '{}')
        FROM (
            SELECT l.event, max(l.happened_on) AS happened_on
            FROM register.life_event AS l
            WHERE l.citizen_id = c.citizen_id AND l.happened_on <= p_on
            GROUP BY l.event
        ) AS e
    ),
    held.measures, held.year_measures,
    array(
        SELECT 'service_plan' FROM register.service_plan AS s
        WHERE s.citizen_id = c.citizen_id AND p_on BETWEEN s.valid_from AND s.valid_to
        UNION
        SELECT 'rehabilitation_plan' FROM register.rehabilitation_plan AS s
        WHERE s.citizen_id = c.citizen_id
            AND p_on BETWEEN s.valid_from AND coalesce(s.valid_to, 'infinity')
        UNION
        SELECT 'prescription' FROM register.prescription AS s
        WHERE s.citizen_id = c.citizen_id AND p_on BETWEEN s.prescribed_on AND s.valid_to
        UNION
        SELECT 'certificate' FROM register.certificate AS s
        WHERE s.citizen_id = c.citizen_id AND p_on BETWEEN s.valid_from AND s.valid_to
        UNION
        SELECT 'policy' FROM register.policy AS s
        WHERE s.citizen_id = c.citizen_id
            AND p_on BETWEEN s.valid_from AND coalesce(s.valid_to, 'infinity')
        UNION
        SELECT 'school_meals' FROM register.school_meals AS s
        WHERE s.citizen_id = c.citizen_id AND p_on BETWEEN s.valid_from AND s.valid_to
    )
FROM register.citizen AS c
LEFT JOIN LATERAL (
    -- of several households the one joined last
    SELECT m.household_id FROM register.household_member AS m
    WHERE m.citizen_id = c.citizen_id
    ORDER BY m.recorded_at DESC, m.household_id LIMIT 1
) AS own ON TRUE
LEFT JOIN LATERAL (
    SELECT
        array_agg(p.birth_date ORDER BY p.birth_date) AS births,
        -- known only when every adult's income is
        CASE
            WHEN bool_and(
                i.month_kopecks IS NOT NULL OR (p.birth_date + interval '18 years')::date > p_on
            ) THEN sum(coalesce(i.month_kopecks, 0))::bigint
        END AS income_kopecks
    FROM register.household_member AS m
    INNER JOIN register.citizen AS p ON m.citizen_id = p.citizen_id
    LEFT JOIN LATERAL (
        -- the average of the months known of the last three
        SELECT sum(n.amount_kopecks)::bigint / count(DISTINCT n.month) AS month_kopecks
        FROM register.income AS n
        WHERE n.citizen_id = p.citizen_id
            AND n.month < date_trunc('month', p_on::timestamp)::date
            AND n.month >= (date_trunc('month', p_on::timestamp) - interval '3 months')::date
        HAVING count(*) > 0
    ) AS i ON TRUE
    WHERE m.household_id = own.household_id AND coalesce(p.death_date > p_on, TRUE)
) AS family ON TRUE
CROSS JOIN LATERAL (
    SELECT array(
        SELECT s.circumstance FROM register.circumstance AS s
        WHERE s.citizen_id = c.citizen_id
            AND p_on BETWEEN s.valid_from AND coalesce(s.valid_to, 'infinity')
    ) AS circumstances
    -- asked once, not wherever it is read
    OFFSET 0
) AS now_is
CROSS JOIN LATERAL (
    SELECT array(
        SELECT n.income_kind FROM register.income AS n
        WHERE n.citizen_id = c.citizen_id
            AND n.month < date_trunc('month', p_on::timestamp)::date
            AND n.month >= (date_trunc('month', p_on::timestamp) - interval '3 months')::date
    ) AS kinds
    OFFSET 0
) AS earned
CROSS JOIN LATERAL (
    SELECT
        coalesce(array_agg(DISTINCT t.measure) FILTER (
            WHERE p_on BETWEEN t.valid_from AND t.valid_to
        ), '{}') AS measures,
        coalesce(array_agg(DISTINCT t.measure), '{}') AS year_measures
    FROM (
        SELECT e.measure, e.valid_from, e.valid_to FROM register.entitlement AS e
        WHERE e.holder_id IN (c.citizen_id, own.household_id)
        UNION ALL
        -- a certificate, a plan and school meals are an entitlement each
        SELECT s.measure, s.valid_from, s.valid_to FROM register.certificate AS s
        WHERE s.citizen_id = c.citizen_id
        UNION ALL
        SELECT s.measure, s.valid_from, s.valid_to FROM register.service_plan AS s
        WHERE s.citizen_id = c.citizen_id
        UNION ALL
        SELECT s.measure, s.valid_from, s.valid_to FROM register.school_meals AS s
        WHERE s.citizen_id = c.citizen_id
    ) AS t
    WHERE t.valid_to >= date_trunc('year', p_on::timestamp)::date
        AND t.valid_from < (date_trunc('year', p_on::timestamp) + interval '1 year')::date
) AS held
WHERE c.citizen_id = ANY (p_citizens)
    AND coalesce(c.death_date > p_on, TRUE);
$$;
REVOKE ALL ON FUNCTION eligibility.facts(uuid[], date) FROM public, spk_register;

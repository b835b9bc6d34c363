-- The rights that rest on the records which a change made, changed or removed, as rights.accept
-- takes them. An entitlement is its own; a certificate, a service plan and school meals are an
-- entitlement each, under their own key; a prescription draws on the entitlement that pays for it.
CREATE OR REPLACE FUNCTION register.rights_of_change(p_change_id bigint)
RETURNS TABLE (bucket smallint, action text, body jsonb)
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
WITH opened AS (
    SELECT
        e.holder_id, e.record_id, e.measure, e.category, e.valid_from, e.valid_to,
        e.decision_number, e.decided_on
    FROM register.entitlement AS e WHERE e.change_id = p_change_id
    UNION ALL
    SELECT
        c.citizen_id, c.record_id, c.measure, c.category, c.valid_from, c.valid_to, c.number,
        c.decided_on
    FROM register.certificate AS c WHERE c.change_id = p_change_id
    UNION ALL
    SELECT
        p.citizen_id, p.record_id, p.measure, p.category, p.valid_from, p.valid_to, p.number,
        p.issued_on
    FROM register.service_plan AS p WHERE p.change_id = p_change_id
    UNION ALL
    SELECT
        m.citizen_id, m.record_id, m.measure, m.category, m.valid_from, m.valid_to,
        m.change_id::text, m.valid_from
    FROM register.school_meals AS m WHERE m.change_id = p_change_id
)

SELECT
    rights.bucket_of(o.holder_id), 'entitlement',
    jsonb_build_object(
        'bucket', rights.bucket_of(o.holder_id), 'holder_id', o.holder_id,
        'entitlement_id', o.record_id, 'measure', o.measure, 'category', o.category,
        'valid_from', o.valid_from, 'valid_to', o.valid_to,
        'decision_number', o.decision_number, 'decided_on', o.decided_on
    )
FROM opened AS o
UNION ALL
SELECT
    rights.bucket_of(a.holder_id), 'allowance',
    to_jsonb(a) || jsonb_build_object(
        'bucket', rights.bucket_of(a.holder_id), 'funding', m.funding, 'priority', 100
    )
FROM register.allowances_of_change(p_change_id) AS a
INNER JOIN regulations.measure AS m ON a.measure = m.measure
UNION ALL
SELECT
    rights.bucket_of(g.holder_id), 'withdraw',
    jsonb_build_object(
        'bucket', rights.bucket_of(g.holder_id), 'holder_id', g.holder_id, 'id', g.record_id
    )
FROM (
    SELECT h.record_id, coalesce(h.citizen_id, h.household_id) AS holder_id
    FROM register.history AS h
    WHERE
        h.ended_by = p_change_id
        AND h.kind IN (
            'entitlement', 'certificate', 'service_plan', 'service_plan_line', 'school_meals',
            'prescription'
        )
        AND NOT EXISTS (
            SELECT FROM register.record AS r WHERE r.kind = h.kind AND r.record_id = h.record_id
        )
) AS g;
$$;
REVOKE ALL ON FUNCTION register.rights_of_change(bigint) FROM public, spk_register;

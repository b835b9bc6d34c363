-- The allowances that prescriptions, certificates, lines of service plans and school meals of a
-- change become. A prescription is paid by the citizen's entitlement in force when it was written
-- whose measure has its budget and pays its share; one that nothing pays for is not among them
-- (register.pass_rights_on refuses it), nor what no item is rung up for.
CREATE OR REPLACE FUNCTION register.allowances_of_change(p_change_id bigint)
RETURNS TABLE (
    holder_id uuid, allowance_id uuid, entitlement_id uuid, measure text, category text,
    item_class text, unit_okei smallint, scale smallint, granted bigint, period smallint,
    valid_from date, valid_to date
)
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
WITH unit AS (
    SELECT DISTINCT ON (i.item_class) i.item_class, i.unit_okei, i.scale
    FROM regulations.item AS i ORDER BY i.item_class, i.item
),

prescribed AS (
    SELECT
        p.citizen_id, p.record_id, e.record_id AS entitlement_id, e.measure, e.category,
        p.item_class, u.unit_okei, u.scale, p.quantity * (10 ^ u.scale)::bigint AS granted,
        0::smallint AS period, p.prescribed_on, p.valid_to
    FROM register.prescription AS p
    INNER JOIN unit AS u ON p.item_class = u.item_class
    CROSS JOIN LATERAL (
        SELECT e.record_id, e.measure, e.category
        FROM register.entitlement AS e
        INNER JOIN regulations.measure AS m ON e.measure = m.measure
        WHERE
            e.citizen_id = p.citizen_id AND m.funding = p.funding
            AND p.prescribed_on BETWEEN e.valid_from AND e.valid_to
            AND EXISTS (
                SELECT FROM regulations.price_rule AS r
                WHERE r.measure = e.measure AND r.percent = 100 - p.payment_percent
            )
        ORDER BY e.measure, e.category LIMIT 1
    ) AS e
    WHERE p.change_id = p_change_id
)

SELECT p.* FROM prescribed AS p
UNION ALL
SELECT
    c.citizen_id, c.record_id, c.record_id, c.measure, c.category, c.item_class,
    -- roubles, counted in kopecks
    383::smallint, 2::smallint, c.amount_kopecks, 0::smallint, c.valid_from, c.valid_to
FROM register.certificate AS c WHERE c.change_id = p_change_id
UNION ALL
SELECT
    l.citizen_id, l.record_id, l.plan_id, p.measure, p.category, l.item_class, u.unit_okei,
    u.scale,
    -- minutes and hours are counted as such, anything else by visits
    CASE u.unit_okei
        WHEN 355 THEN (l.norm_minutes * l.times * 10 ^ u.scale)::bigint
        WHEN 356 THEN (l.norm_minutes * l.times * 10 ^ u.scale / 60)::bigint
        ELSE (l.times * 10 ^ u.scale)::bigint
    END,
    (array_position(ARRAY['term', 'day', 'week', 'month', 'quarter', 'year'], l.per) - 1)::smallint,
    p.valid_from, p.valid_to
FROM register.service_plan_line AS l
INNER JOIN register.service_plan AS p ON l.plan_id = p.record_id
INNER JOIN unit AS u ON l.item_class = u.item_class
WHERE l.change_id = p_change_id
UNION ALL
SELECT
    s.citizen_id, s.record_id, s.record_id, s.measure, s.category, s.item_class, u.unit_okei,
    u.scale, (CASE s.meal WHEN 'breakfast_and_lunch' THEN 2 ELSE 1 END * 10 ^ u.scale)::bigint,
    1::smallint, s.valid_from, s.valid_to
FROM register.school_meals AS s
INNER JOIN unit AS u ON s.item_class = u.item_class
WHERE s.change_id = p_change_id;
$$;
REVOKE ALL ON FUNCTION register.allowances_of_change(bigint) FROM public, spk_register;

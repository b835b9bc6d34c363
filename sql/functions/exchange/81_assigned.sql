-- What was assigned with effect from a month, by this database's rights: each entitlement of these
-- measures with what it grants. Money counts as kopecks, anything else as a quantity.
CREATE OR REPLACE FUNCTION exchange.assigned(p_first date, p_last date, p_measures text[])
RETURNS TABLE (
    entitlement_id uuid, holder_id uuid, measure text, category text, unit_okei smallint,
    scale smallint, quantity bigint, covered_kopecks bigint, decided_on date, valid_from date,
    valid_to date
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
SELECT
    n.entitlement_id, n.holder_id, n.measure, n.category, a.unit_okei, a.scale,
    sum(a.granted)::bigint,
    CASE WHEN a.unit_okei = 383 AND a.scale = 2 THEN sum(a.granted)::bigint ELSE 0 END,
    n.decided_on, n.valid_from, n.valid_to
FROM rights.entitlement AS n
INNER JOIN rights.allowance AS a
    ON n.bucket = a.bucket AND n.holder_id = a.holder_id AND n.entitlement_id = a.entitlement_id
WHERE n.measure = ANY(p_measures) AND n.valid_from BETWEEN p_first AND p_last
GROUP BY n.bucket, n.holder_id, n.entitlement_id, a.unit_okei, a.scale
$$;

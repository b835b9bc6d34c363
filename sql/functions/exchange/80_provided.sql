-- What was provided in a month by this database's journal: net quantity and covered kopecks of
-- each entitlement and unit. A return and a reversal count in the month of what they take back, so
-- that a month can be told anew and its facts are corrected. A whole month is read, so rows are
-- brought together by hashing, with the memory for it.
CREATE OR REPLACE FUNCTION exchange.provided(p_first date, p_last date)
RETURNS TABLE (
    entitlement_id uuid, holder_id uuid, measure text, category text, unit_okei smallint,
    scale smallint, quantity bigint, covered_kopecks bigint, decided_on date, valid_from date,
    valid_to date
)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog SET work_mem = '64MB' SET enable_nestloop = off AS $$
WITH counted AS (
    SELECT
        e.bucket, e.business_date, e.terminal_id, e.stan, e.message_class, e.assigned, e.holder_id
    FROM journal.event AS e
    WHERE e.business_date BETWEEN p_first AND p_last AND e.kind IN (3, 4)
    UNION ALL
    SELECT
        e.bucket, e.business_date, e.terminal_id, e.stan, e.message_class, e.assigned, e.holder_id
    FROM journal.event AS e
    WHERE
        e.business_date >= p_first AND (e.kind = 5 OR (e.kind = 6 AND e.parent_message_class = 2))
        AND coalesce((
            -- the reversal of a return belongs to the sale of that return
            SELECT r.parent_business_date FROM journal.event AS r
            WHERE e.kind = 6 AND r.kind = 5
                AND r.business_date = e.parent_business_date
                AND r.terminal_id = e.parent_terminal_id AND r.stan = e.parent_stan
                AND r.message_class = e.parent_message_class AND r.assigned = 0
        ), e.parent_business_date, e.business_date) BETWEEN p_first AND p_last
)

SELECT
    l.entitlement_id, c.holder_id, l.measure, l.category, i.unit_okei, i.scale,
    sum(l.quantity)::bigint, sum(l.covered_kopecks)::bigint,
    n.decided_on, n.valid_from, n.valid_to
FROM counted AS c
INNER JOIN journal.line AS l
    ON c.business_date = l.business_date AND c.terminal_id = l.terminal_id AND c.stan = l.stan
    AND c.message_class = l.message_class AND c.assigned = l.assigned
INNER JOIN regulations.item AS i ON l.item = i.item
INNER JOIN rights.entitlement AS n
    ON c.bucket = n.bucket AND c.holder_id = n.holder_id AND l.entitlement_id = n.entitlement_id
WHERE l.part > 0 AND l.business_date >= p_first
GROUP BY
    l.entitlement_id, c.holder_id, l.measure, l.category, i.unit_okei, i.scale, n.decided_on,
    n.valid_from, n.valid_to
HAVING sum(l.quantity) <> 0 OR sum(l.covered_kopecks) <> 0
$$;

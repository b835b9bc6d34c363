-- The records of one file with what ЕГИССО is told of their recipients; each recipient is logged
-- as read.
CREATE OR REPLACE FUNCTION exchange.package_records(
    p_export_id bigint, p_first integer, p_last integer
) RETURNS TABLE (
    kind smallint, event_id uuid, fact_id uuid, osz_code text, snils text, last_name text,
    first_name text, patronymic text, sex text, birth_date date, lmsz_id uuid, category_id uuid,
    decided_on date, date_start date, date_finish date, form text, okei text, scale smallint,
    quantity bigint, amount_kopecks bigint, monetization boolean
)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
WITH logged AS (
    INSERT INTO register.read_log (read_by, purpose, way, citizen_id, kinds)
    SELECT e.made_by, 'ЕГИССО 10.06.S, ' || e.period::text, 'exchange', t.citizen_id, '{citizen}'
    FROM exchange.egisso_export AS e
    INNER JOIN (
        SELECT DISTINCT r.export_id, r.citizen_id FROM exchange.egisso_record AS r
        WHERE r.export_id = p_export_id AND r.ordinal BETWEEN p_first AND p_last AND r.kind <> 5
    ) AS t ON e.export_id = t.export_id
)

SELECT
    r.kind, r.event_id, r.fact_id, m.osz_code, c.snils, c.last_name, c.first_name, c.patronymic,
    c.sex::text, c.birth_date, m.lmsz_id, r.category_id, r.decided_on, r.date_start, r.date_finish,
    l.form, r.okei, r.scale, r.quantity, r.amount_kopecks, m.monetization
FROM exchange.egisso_record AS r
INNER JOIN exchange.egisso_measure AS m ON r.measure = m.measure
INNER JOIN exchange.lmsz AS l ON m.lmsz_id = l.lmsz_id
INNER JOIN register.citizen AS c ON r.citizen_id = c.citizen_id
WHERE r.export_id = p_export_id AND r.ordinal BETWEEN p_first AND p_last
ORDER BY r.ordinal
$$;

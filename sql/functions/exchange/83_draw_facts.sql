-- Compare what was gathered for a month with what ЕГИССО was told of it, and put down the records
-- that it has to be told now: all of an export in one transaction, so that nothing is told twice
-- and nothing is lost. p_gone FALSE leaves facts alone of which nothing was gathered (a database
-- was away). Returns the export's number; NULL: there is nothing new to tell and nothing is held.
CREATE OR REPLACE FUNCTION exchange.draw_facts(
    p_period date, p_by text, p_at timestamptz, p_gone boolean
) RETURNS bigint
LANGUAGE plpgsql
-- What was gathered just now has no statistics: whatever the planner makes of a million rows, it
-- is to hash them.
SET work_mem = '64MB' SET enable_nestloop = off AS $$
DECLARE
    month_end CONSTANT date := (p_period + interval '1 month')::date - 1;
    drawn bigint;
    told integer;
    held integer;
    same integer;
BEGIN
    -- one export of a month at a time
    PERFORM pg_advisory_xact_lock(hashtextextended('egisso ' || p_period::text, 0));
    INSERT INTO exchange.egisso_export (
        period, made_by, made_at, record_count, held_count, unchanged_count
    ) VALUES (p_period, p_by, p_at, 0, 0, 0) RETURNING export_id INTO drawn;

    CREATE TEMPORARY TABLE present ON COMMIT DROP AS
    SELECT
        g.entitlement_id, g.unit_okei, g.scale, g.measure, g.category, k.category_id, r.citizen_id,
        coalesce(m.okei, lpad(g.unit_okei::text, 3, '0')) AS okei, g.quantity,
        g.covered_kopecks AS amount_kopecks, l.form, m.basis, g.decided_on,
        CASE m.basis WHEN 'provided' THEN greatest(g.valid_from, p_period)
            ELSE g.valid_from END AS date_start,
        CASE m.basis WHEN 'provided' THEN least(g.valid_to, month_end)
            ELSE g.valid_to END AS date_finish,
        CASE
            WHEN m.measure IS NULL THEN 'measure'
            WHEN k.category IS NULL THEN 'category'
            WHEN r.citizen_id IS NULL THEN 'recipient'
            WHEN NOT r.named THEN 'name'
            WHEN least(g.quantity, g.covered_kopecks) < 0 THEN 'negative'
        END AS reason,
        coalesce(f.fact_id, gen_random_uuid()) AS fact_id,
        CASE
            WHEN f.fact_id IS NULL THEN 1
            WHEN (g.quantity, g.covered_kopecks, k.category_id)
                = (f.quantity, f.amount_kopecks, f.category_id) THEN
                CASE
                    WHEN m.basis = 'provided' OR g.valid_to = f.date_finish THEN 0
                    WHEN g.valid_to < f.date_finish THEN 4
                    ELSE 3
                END
            WHEN l.form = '01' AND k.category_id = f.category_id THEN 2
            ELSE 3
        END AS kind
    FROM exchange.egisso_gathered AS g
    LEFT JOIN exchange.egisso_measure AS m ON g.measure = m.measure
    LEFT JOIN exchange.lmsz AS l ON m.lmsz_id = l.lmsz_id
    LEFT JOIN exchange.egisso_category AS k ON g.measure = k.measure AND g.category = k.category
    LEFT JOIN exchange.recipients(p_period) AS r ON g.holder_id = r.holder_id
    LEFT JOIN exchange.egisso_fact AS f
        ON f.period = p_period AND g.entitlement_id = f.entitlement_id
        AND g.unit_okei = f.unit_okei AND g.scale = f.scale AND NOT f.withdrawn
    WHERE g.period = p_period AND coalesce(m.basis, g.basis) = g.basis;
    ANALYZE present;

    INSERT INTO exchange.egisso_held (export_id, entitlement_id, measure, category, reason)
    SELECT drawn, p.entitlement_id, p.measure, p.category, p.reason
    FROM present AS p WHERE p.reason IS NOT NULL;
    GET DIAGNOSTICS held = ROW_COUNT;
    SELECT count(*) INTO same FROM present AS p WHERE p.reason IS NULL AND p.kind = 0;

    INSERT INTO exchange.egisso_fact (
        fact_id, period, entitlement_id, unit_okei, scale, quantity, amount_kopecks, date_start,
        date_finish, category_id
    )
    SELECT
        p.fact_id, p_period, p.entitlement_id, p.unit_okei, p.scale, p.quantity, p.amount_kopecks,
        p.date_start, p.date_finish, p.category_id
    FROM present AS p WHERE p.reason IS NULL AND p.kind = 1;
    UPDATE exchange.egisso_fact AS f SET
        quantity = p.quantity, amount_kopecks = p.amount_kopecks, date_start = p.date_start,
        date_finish = p.date_finish, category_id = p.category_id
    FROM present AS p
    WHERE f.fact_id = p.fact_id AND p.reason IS NULL AND p.kind IN (2, 3, 4);

    INSERT INTO exchange.egisso_record (
        export_id, ordinal, kind, fact_id, citizen_id, measure, category_id, okei, scale, quantity,
        amount_kopecks, decided_on, date_start, date_finish
    )
    SELECT
        drawn, row_number() OVER (ORDER BY t.kind, t.citizen_id, t.fact_id), t.kind, t.fact_id,
        t.citizen_id, t.measure, t.category_id, t.okei, t.scale, t.quantity, t.amount_kopecks,
        t.decided_on, t.date_start, t.date_finish
    FROM (
        SELECT
            p.kind, p.fact_id, p.citizen_id, p.measure, p.category_id, p.okei, p.scale, p.quantity,
            p.amount_kopecks, p.decided_on, p.date_start, p.date_finish
        FROM present AS p WHERE p.reason IS NULL AND p.kind > 0
        UNION ALL
        SELECT
            5, f.fact_id, w.citizen_id, w.measure, f.category_id, w.okei, f.scale, f.quantity,
            f.amount_kopecks, w.decided_on, f.date_start, f.date_finish
        FROM exchange.egisso_fact AS f
        -- a fact is told in the exports of its own month only
        INNER JOIN (
            SELECT DISTINCT ON (r.fact_id) r.*
            FROM exchange.egisso_export AS e
            INNER JOIN exchange.egisso_record AS r ON e.export_id = r.export_id
            WHERE e.period = p_period
            ORDER BY r.fact_id, r.export_id DESC
        ) AS w ON f.fact_id = w.fact_id
        WHERE
            p_gone AND f.period = p_period AND NOT f.withdrawn
            AND NOT EXISTS (
                SELECT FROM present AS p
                WHERE p.entitlement_id = f.entitlement_id AND p.unit_okei = f.unit_okei
                    AND p.scale = f.scale
            )
    ) AS t;
    GET DIAGNOSTICS told = ROW_COUNT;
    UPDATE exchange.egisso_fact AS f SET withdrawn = TRUE
    FROM exchange.egisso_record AS r
    WHERE r.export_id = drawn AND r.kind = 5 AND f.fact_id = r.fact_id;
    UPDATE exchange.egisso_export AS e
    SET record_count = told, held_count = held, unchanged_count = same
    WHERE e.export_id = drawn;
    DELETE FROM exchange.egisso_gathered AS g WHERE g.period = p_period;
    RETURN drawn;
END
$$;

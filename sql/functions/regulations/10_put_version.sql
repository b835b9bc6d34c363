-- Put a version of a service's regulation in place of what stood under its number: the rows that
-- authorization joins. Terminals, past decisions and other versions keep what they have.
CREATE OR REPLACE FUNCTION regulations.put_version(p_rows regulations.version_rows) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    put CONSTANT regulations.service := p_rows.service;
BEGIN
    DELETE FROM regulations.price_rule AS r
    WHERE r.service = put.service AND r.version = put.version;
    DELETE FROM regulations.requirement AS q
    WHERE q.service = put.service AND q.version = put.version;
    DELETE FROM regulations.norm AS n
    WHERE n.service = put.service AND n.version = put.version;
    DELETE FROM regulations.refusal AS f
    WHERE f.service = put.service AND f.version = put.version;
    DELETE FROM regulations.service AS s
    WHERE s.service = put.service AND s.version = put.version;
    INSERT INTO regulations.service SELECT put.*;
    INSERT INTO regulations.price_rule SELECT r.* FROM unnest(p_rows.price_rules) AS r;
    INSERT INTO regulations.requirement SELECT q.* FROM unnest(p_rows.requirements) AS q;
    INSERT INTO regulations.norm SELECT n.* FROM unnest(p_rows.norms) AS n;
    INSERT INTO regulations.refusal SELECT f.* FROM unnest(p_rows.refusals) AS f;
END
$$;

-- What a measure grants a household of so many people of a class of items on a day, in the smallest
-- unit, with its period (as in rights.allowance); no row where no regulation in force has a norm.
CREATE OR REPLACE FUNCTION regulations.norm_of(
    p_measure text, p_item_class text, p_people integer, p_day date
) RETURNS TABLE (granted bigint, period smallint)
LANGUAGE sql STABLE ROWS 1 AS $$
    SELECT CASE WHEN n.each THEN n.quantity * p_people ELSE n.quantity END, n.period
    FROM regulations.norm AS n
    INNER JOIN regulations.service AS s ON n.service = s.service AND n.version = s.version
    WHERE n.measure = p_measure AND n.item_class = p_item_class
        AND p_people BETWEEN n.people_from AND n.people_to
        AND p_day BETWEEN s.valid_from AND s.valid_to
    ORDER BY n.service, n.version DESC
    LIMIT 1
$$;

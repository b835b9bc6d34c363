-- What is covered of a whole line by one allowance; NULL for a line whose numbers make no sense.
CREATE OR REPLACE FUNCTION engine.line_covered_kopecks(
    p_gross_kopecks bigint, p_quantity bigint, p_scale smallint, p_cap_kopecks bigint,
    p_percent smallint
) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN p_quantity > 0 AND p_gross_kopecks >= 0 THEN engine.covered_kopecks(
    p_gross_kopecks, p_gross_kopecks, p_quantity, p_scale, p_cap_kopecks, p_percent
) END;

-- What a line needs, in the allowance's unit.
CREATE OR REPLACE FUNCTION engine.need(
    p_consumes smallint, p_quantity bigint, p_covered_kopecks bigint
) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE p_consumes
    WHEN 1 THEN p_quantity
    WHEN 2 THEN p_covered_kopecks
    WHEN 3 THEN 1
    WHEN 4 THEN 0
END;

-- Whether the units of line, item and allowance differ, or the line's numbers make no sense.
-- Kopecks are taken from an allowance in roubles of scale 2, quantities from one that counts what
-- the item counts.
CREATE OR REPLACE FUNCTION engine.malformed(
    p_quantity bigint, p_gross_kopecks bigint, p_unit_okei smallint, p_scale smallint,
    p_item_class text, p_item_unit_okei smallint, p_item_scale smallint, p_consumes smallint,
    p_allowance_unit_okei smallint, p_allowance_scale smallint
) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(p_quantity < 1 OR p_gross_kopecks < 0, TRUE)
OR coalesce(p_unit_okei <> p_item_unit_okei OR p_scale <> p_item_scale, p_item_class IS NOT NULL)
OR CASE p_consumes
    WHEN 1 THEN p_allowance_unit_okei <> p_item_unit_okei OR p_allowance_scale <> p_item_scale
    WHEN 2 THEN p_allowance_unit_okei <> 383 OR p_allowance_scale <> 2
END IS TRUE;

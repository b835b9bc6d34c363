-- What a measure covers of a line, in kopecks: the price up to the cap, times the percentage,
-- rounded half-up once. p_cap_kopecks is for one whole unit (10^p_scale of the smallest unit);
-- NULL: no cap. The citizen pays the rest.
CREATE OR REPLACE FUNCTION engine.covered_kopecks(
    p_gross_kopecks bigint, p_quantity bigint, p_scale smallint, p_cap_kopecks bigint,
    p_percent smallint
) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN p_cap_kopecks IS NULL THEN (p_gross_kopecks * p_percent + 50) / 100
    ELSE round(
        least(p_gross_kopecks::numeric, p_cap_kopecks::numeric * p_quantity / 10 ^ p_scale::numeric)
        * p_percent / 100
    )::bigint
END;

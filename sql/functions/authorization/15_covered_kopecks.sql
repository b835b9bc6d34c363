-- What a measure covers of the first p_upto_kopecks of a line's price, in kopecks: that price, cut
-- in the same proportion as the cap cuts the price of the whole line, times the percentage,
-- rounded half-up once, in exact integers. p_cap_kopecks is for one whole unit (10^p_scale of the
-- smallest unit); NULL: no cap. The citizen pays the rest. From one p_upto_kopecks to a greater one
-- it never falls, and never rises by more than the difference: no part of a line costs less than
-- nothing.
CREATE OR REPLACE FUNCTION engine.covered_kopecks(
    p_upto_kopecks bigint, p_gross_kopecks bigint, p_quantity bigint, p_scale smallint,
    p_cap_kopecks bigint, p_percent smallint
) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN
        p_cap_kopecks IS NULL
        OR p_gross_kopecks * engine.whole_unit(p_scale) <= p_cap_kopecks::numeric * p_quantity
        THEN (p_upto_kopecks * p_percent + 50) / 100
    ELSE div(
        2::numeric * p_cap_kopecks * p_quantity * p_percent * p_upto_kopecks
        + 100 * engine.whole_unit(p_scale) * p_gross_kopecks,
        200 * engine.whole_unit(p_scale) * p_gross_kopecks
    )::bigint
END;

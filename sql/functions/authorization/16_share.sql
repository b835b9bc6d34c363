-- The share of p_total that belongs to the first p_met units of a need of p_need, rounded down;
-- exact at both ends, so that consecutive shares add up to the whole.
CREATE OR REPLACE FUNCTION engine.share(p_total bigint, p_met bigint, p_need bigint)
RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN p_met = 0 THEN 0
    WHEN p_met = p_need THEN p_total
    ELSE div(p_total::numeric * p_met, p_need)::bigint
END;

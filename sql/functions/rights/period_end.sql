-- The last day of the period that starts on p_start; of the whole term (0), p_valid_to.
CREATE OR REPLACE FUNCTION rights.period_end(p_period smallint, p_start date, p_valid_to date)
RETURNS date
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN least(p_valid_to, CASE p_period
    WHEN 0 THEN p_valid_to
    WHEN 1 THEN p_start
    WHEN 2 THEN p_start + 6
    WHEN 3 THEN (p_start + interval '1 month - 1 day')::date
    WHEN 4 THEN (p_start + interval '3 months - 1 day')::date
    WHEN 5 THEN (p_start + interval '1 year - 1 day')::date
END);

-- The first day of the period in which p_day falls; weeks begin on Monday. For an allowance
-- without periods (0) the whole term is one period, which starts with the allowance.
CREATE OR REPLACE FUNCTION rights.period_start(p_period smallint, p_day date, p_valid_from date)
RETURNS date
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE p_period
    WHEN 0 THEN p_valid_from
    WHEN 1 THEN p_day
    WHEN 2 THEN date_trunc('week', p_day::timestamp)::date
    WHEN 3 THEN date_trunc('month', p_day::timestamp)::date
    WHEN 4 THEN date_trunc('quarter', p_day::timestamp)::date
    WHEN 5 THEN date_trunc('year', p_day::timestamp)::date
END;

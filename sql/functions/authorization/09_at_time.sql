-- The time that many milliseconds after 1970, exactly. Not declared immutable, since the sum of a
-- time and an interval is not: it would be called instead of inlined.
CREATE OR REPLACE FUNCTION engine.at_time(p_utc_ms bigint) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
RETURN timestamptz '1970-01-01 00:00:00+00' + p_utc_ms * interval '1 millisecond';

-- A time as a fact shows it: UTC, to the second.
CREATE OR REPLACE FUNCTION engine.utc_text(p_time timestamptz) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN to_char(p_time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"');

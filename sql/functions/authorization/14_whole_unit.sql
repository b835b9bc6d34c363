-- How many smallest units one whole unit has: 10^p_scale, from a table since powers are slow.
CREATE OR REPLACE FUNCTION engine.whole_unit(p_scale smallint) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ('{1, 10, 100, 1000, 10000, 100000, 1000000}'::numeric[])[p_scale + 1];

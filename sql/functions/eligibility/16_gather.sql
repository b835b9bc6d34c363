-- Begin to keep everybody's facts of a day, for rules that are asked of a million at once: one who
-- gathers at a time (processing.eligibility.bulk). Ended by eligibility.forget.
CREATE OR REPLACE FUNCTION eligibility.begin_gathering(p_by text, p_purpose text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    TRUNCATE eligibility.fact;
    INSERT INTO register.read_log (read_by, purpose, way, kinds)
    VALUES (p_by, p_purpose, 'eligibility', '{eligibility}');
END
$$;
-- Keep the facts of the next p_count people after p_after (an id; NULL: from the first). Returns
-- the last of them, NULL: there are no more. Planned for each piece, since a piece is large.
CREATE OR REPLACE FUNCTION eligibility.gather(p_after uuid, p_count integer, p_on date)
RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    piece CONSTANT uuid[] := array(
        SELECT c.citizen_id FROM register.citizen AS c
        WHERE p_after IS NULL OR c.citizen_id > p_after
        ORDER BY c.citizen_id LIMIT p_count
    );
BEGIN
    EXECUTE 'INSERT INTO eligibility.fact SELECT f.* FROM eligibility.facts($1, $2) AS f'
    USING piece, p_on;
    RETURN piece[cardinality(piece)];
END
$$;
-- Tell the planner what was gathered; returns how many people there are.
CREATE OR REPLACE FUNCTION eligibility.end_gathering() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    ANALYZE eligibility.fact;
    RETURN (SELECT count(*) FROM eligibility.fact AS f);
END
$$;
-- Forget them again.
CREATE OR REPLACE FUNCTION eligibility.forget() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    TRUNCATE eligibility.fact;
END
$$;
-- Note that people are shown in a list.
CREATE OR REPLACE FUNCTION eligibility.note_listed(p_citizens uuid[], p_by text, p_purpose text)
RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
INSERT INTO register.read_log (read_by, purpose, way, citizen_id, kinds)
SELECT p_by, p_purpose, 'eligibility', c.citizen_id, '{eligibility}'
FROM unnest(p_citizens) AS c (citizen_id);
$$;

-- Keep the facts of everybody on a day, for rules that are asked of a million at once; returns how
-- many. One at a time: who comes second waits. Ended by eligibility.forget.
CREATE OR REPLACE FUNCTION eligibility.gather(p_on date, p_by text, p_purpose text)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    people bigint;
BEGIN
    TRUNCATE eligibility.fact;
    INSERT INTO eligibility.fact SELECT f.* FROM eligibility.facts(NULL, p_on) AS f;
    GET DIAGNOSTICS people = ROW_COUNT;
    INSERT INTO register.read_log (read_by, purpose, way, kinds)
    VALUES (p_by, p_purpose, 'eligibility', '{eligibility}');
    RETURN people;
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

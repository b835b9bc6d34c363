-- A person by id or СНИЛС; NULL: nobody.
CREATE OR REPLACE FUNCTION eligibility.citizen_of(p_reference text) RETURNS uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
SELECT c.citizen_id FROM register.citizen AS c
WHERE c.snils = p_reference OR c.citizen_id::text = lower(p_reference);
$$;
-- The facts of people on a day, for somebody with a purpose. Each person shown is logged.
CREATE OR REPLACE FUNCTION eligibility.people(
    p_citizens uuid[], p_on date, p_by text, p_purpose text
) RETURNS SETOF eligibility.fact
-- one plan for any few people: to plan takes longer than to read
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    INSERT INTO register.read_log (read_by, purpose, way, citizen_id, kinds)
    SELECT p_by, p_purpose, 'eligibility', c.citizen_id, '{eligibility}'
    FROM register.citizen AS c
    WHERE c.citizen_id = ANY (p_citizens);
    RETURN QUERY SELECT f.* FROM eligibility.facts(p_citizens, p_on) AS f;
END
$$;
-- The records behind the facts of a person whose facts were just read (eligibility.people).
CREATE OR REPLACE FUNCTION eligibility.sources(p_citizen_id uuid, p_on date, p_by text)
RETURNS TABLE (field text, kind text, record_id uuid, version integer)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM register.read_log AS r
        WHERE r.citizen_id = p_citizen_id AND r.read_by = p_by AND r.way = 'eligibility'
            AND r.read_at > statement_timestamp() - interval '1 hour'
    ) THEN
        RAISE EXCEPTION 'the facts of this person were not read'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN QUERY SELECT s.* FROM eligibility.records_behind(p_citizen_id, p_on) AS s;
END
$$;

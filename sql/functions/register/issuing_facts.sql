-- What decides whether cards may be ordered for people, each named by id or СНИЛС (one of the two
-- is NULL): id, region, version, whether they live, and whether their name can be printed on a
-- card. A row for each that is found; `place` counts from 1. Tells no name.
CREATE OR REPLACE FUNCTION register.issuing_facts(p_citizen_ids uuid[], p_snils text[])
RETURNS TABLE (
    place bigint, citizen_id uuid, region smallint, register_version integer, alive boolean,
    printable boolean
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
WITH asked AS (
    SELECT a.citizen_id, a.snils, a.place
    FROM unnest(p_citizen_ids, p_snils) WITH ORDINALITY AS a (citizen_id, snils, place)
),

found AS (
    SELECT a.place, c.citizen_id
    FROM asked AS a INNER JOIN register.citizen AS c ON a.citizen_id = c.citizen_id
    UNION ALL
    SELECT a.place, c.citizen_id
    FROM asked AS a INNER JOIN register.citizen AS c ON a.snils = c.snils
    WHERE a.citizen_id IS NULL
)

SELECT
    f.place, c.citizen_id, c.region, c.version, c.death_date IS NULL,
    concat_ws(' ', c.last_name, c.first_name, c.patronymic) ~ '^[A-Za-zА-Яа-яЁё .''’()-]{2,120}$'
FROM found AS f
INNER JOIN register.citizen AS c ON f.citizen_id = c.citizen_id;
$$;
REVOKE ALL ON FUNCTION register.issuing_facts(uuid[], text[]) FROM public;
GRANT EXECUTE ON FUNCTION register.issuing_facts(uuid[], text[]) TO spk_issuing;

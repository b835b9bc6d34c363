-- Whose a typed number is: СНИЛС, ЕНП, ИНН, telephone, the number (with or without its series) of
-- an identity document or prescription, of a policy, certificate, plan, account or household.
-- `p_number` has its spaces, brackets, hyphens and № taken out; a household's keeps its hyphen.
CREATE OR REPLACE FUNCTION register.by_number(p_number text, p_count integer)
RETURNS TABLE (citizen_id uuid)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $$
BEGIN
    RETURN QUERY
    SELECT f.citizen_id FROM (
        SELECT c.citizen_id FROM register.citizen AS c WHERE c.snils = p_number
        UNION
        SELECT c.citizen_id FROM register.citizen AS c WHERE c.enp = p_number
        UNION
        SELECT c.citizen_id FROM register.citizen AS c WHERE c.inn = p_number
        UNION
        SELECT t.citizen_id FROM register.contact AS t
        WHERE t.value = ANY(ARRAY[p_number, '7' || p_number, '7' || substr(p_number, 2)])
        UNION
        SELECT d.citizen_id FROM register.identity_document AS d
        WHERE
            d.number = ANY(ARRAY[p_number, right(p_number, 6)])
            AND p_number = ANY(ARRAY[d.number, d.series || d.number])
        UNION
        SELECT p.citizen_id FROM register.prescription AS p
        WHERE
            p.number = ANY(ARRAY[p_number, right(p_number, 10)])
            AND p_number = ANY(ARRAY[p.number, p.series || p.number])
        UNION
        SELECT p.citizen_id FROM register.policy AS p WHERE p.enp = p_number
        UNION
        SELECT c.citizen_id FROM register.certificate AS c WHERE c.number = p_number
        UNION
        SELECT p.citizen_id FROM register.service_plan AS p WHERE p.number = p_number
        UNION
        SELECT p.citizen_id FROM register.rehabilitation_plan AS p WHERE p.number = p_number
        UNION
        SELECT m.citizen_id FROM register.personal_account AS a
        INNER JOIN register.household_member AS m ON a.household_id = m.household_id
        WHERE a.account_number = p_number
        UNION
        SELECT m.citizen_id FROM register.household AS h
        INNER JOIN register.household_member AS m ON h.household_id = m.household_id
        WHERE h.number = p_number
    ) AS f
    LIMIT p_count;
END
$$;
REVOKE ALL ON FUNCTION register.by_number(text, integer) FROM public, spk_register;

-- Who lives where the typed address may mean, by their own addresses or their household's.
CREATE OR REPLACE FUNCTION register.by_address(p_meant tsquery, p_count integer)
RETURNS TABLE (citizen_id uuid)
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
SELECT a.citizen_id FROM (
    SELECT a.citizen_id FROM register.address AS a
    WHERE register.address_words(a.line) @@ p_meant LIMIT p_count
) AS a
UNION
SELECT m.citizen_id FROM (
    SELECT h.household_id FROM register.household AS h
    WHERE register.address_words(h.address) @@ p_meant LIMIT p_count
) AS h
INNER JOIN register.household_member AS m ON h.household_id = m.household_id
LIMIT p_count;
$$;
REVOKE ALL ON FUNCTION register.by_address(tsquery, integer) FROM public, spk_register;

-- Whose name a typed one may mean, and how likely; the likeliest first. Rows are taken from an
-- index one by one until there are enough: a bitmap would first gather everybody of a common name.
CREATE OR REPLACE FUNCTION register.by_name(
    p_name text, p_typos boolean, p_birth_date date, p_count integer
)
RETURNS TABLE (citizen_id uuid, likeness real)
LANGUAGE sql STABLE SET search_path = pg_catalog SET enable_bitmapscan = off AS $$
SELECT f.citizen_id, m.likeness
FROM register.names_meant(p_name, p_typos) AS m
CROSS JOIN LATERAL (
    (
        SELECT c.citizen_id FROM register.citizen AS c
        WHERE
            m.last_key IS NOT NULL AND p_birth_date IS NULL
            AND register.name_key(c.last_name) = m.last_key
            AND register.name_key(c.first_name)
            BETWEEN coalesce(m.first_key, '') AND coalesce(m.first_key, 'я' || chr(1114111))
            AND (m.patronymic_key IS NULL OR register.name_key(c.patronymic) = m.patronymic_key)
        LIMIT p_count
    )
    UNION ALL
    (
        SELECT c.citizen_id FROM register.citizen AS c
        WHERE
            m.last_key IS NULL AND p_birth_date IS NULL
            AND register.name_key(c.first_name) = m.first_key
            AND (m.patronymic_key IS NULL OR register.name_key(c.patronymic) = m.patronymic_key)
        LIMIT p_count
    )
    UNION ALL
    (
        SELECT c.citizen_id FROM register.citizen AS c
        WHERE
            c.birth_date = p_birth_date
            AND (m.last_key IS NULL OR register.name_key(c.last_name) = m.last_key)
            AND (m.first_key IS NULL OR register.name_key(c.first_name) = m.first_key)
            AND (m.patronymic_key IS NULL OR register.name_key(c.patronymic) = m.patronymic_key)
        LIMIT p_count
    )
) AS f
LIMIT p_count;
$$;
REVOKE ALL ON FUNCTION register.by_name(text, boolean, date, integer) FROM public, spk_register;

-- The people that one or more of number, name, birth date and address lead to, NULL where nothing
-- was asked: at most p_bound, by the question that is likely to be the narrowest. Whether they fit
-- the others is for register.fitting to tell; with a likeness they fit the name already,
-- and at_address the address.
CREATE OR REPLACE FUNCTION register.candidates(
    p_number text, p_name text, p_typos boolean, p_birth_date date, p_meant tsquery,
    p_bound integer
) RETURNS TABLE (citizen_id uuid, likeness real, at_address boolean)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $$
DECLARE
    living_there uuid[];
BEGIN
    IF p_meant IS NOT NULL AND p_number IS NULL THEN
        living_there := array(SELECT a.citizen_id FROM register.by_address(p_meant, p_bound) AS a);
    END IF;
    IF p_number IS NOT NULL THEN
        RETURN QUERY SELECT n.citizen_id, NULL::real, FALSE FROM register.by_number(p_number, p_bound) AS n;
    ELSIF
        (p_name IS NULL AND p_birth_date IS NULL) OR cardinality(living_there) < p_bound
    THEN
        RETURN QUERY SELECT a.citizen_id, NULL::real, TRUE FROM unnest(living_there) AS a (citizen_id);
    ELSIF p_name IS NOT NULL THEN
        RETURN QUERY SELECT n.citizen_id, n.likeness, FALSE
        FROM register.by_name(p_name, p_typos, p_birth_date, p_bound) AS n;
    ELSE
        RETURN QUERY SELECT c.citizen_id, NULL::real, FALSE FROM register.citizen AS c
        WHERE c.birth_date = p_birth_date LIMIT p_bound;
    END IF;
END
$$;
REVOKE ALL ON FUNCTION register.candidates(text, text, boolean, date, tsquery, integer)
FROM public, spk_register;

-- By what people with equally likely names are sorted.
CREATE OR REPLACE FUNCTION register.sort_key(p_citizen register.citizen) RETURNS text
LANGUAGE sql STABLE
RETURN concat_ws(' ', p_citizen.last_name, p_citizen.first_name, p_citizen.birth_date);
REVOKE ALL ON FUNCTION register.sort_key(register.citizen) FROM public, spk_register;

-- Those of the candidates that fit all that was asked: the likeliest first, then by name.
CREATE OR REPLACE FUNCTION register.fitting(
    p_ids uuid[], p_likeness real[], p_name text, p_typos boolean, p_birth_date date,
    p_meant tsquery
) RETURNS TABLE (citizen_id uuid, likeness real, sort_key text)
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
WITH meant AS MATERIALIZED (
    SELECT m.* FROM register.names_meant(
        CASE WHEN p_likeness[1] IS NULL THEN p_name END, p_typos
    ) AS m
)

SELECT
    c.citizen_id, coalesce(max(f.likeness), max(m.likeness), 1),
    register.sort_key(c)
FROM unnest(p_ids, p_likeness) AS f (citizen_id, likeness)
INNER JOIN register.citizen AS c ON f.citizen_id = c.citizen_id
LEFT JOIN meant AS m
    ON (m.last_key IS NULL OR register.name_key(c.last_name) = m.last_key)
    AND (m.first_key IS NULL OR register.name_key(c.first_name) = m.first_key)
    AND (m.patronymic_key IS NULL OR register.name_key(c.patronymic) = m.patronymic_key)
WHERE
    (p_name IS NULL OR f.likeness IS NOT NULL OR m.likeness IS NOT NULL)
    AND (p_birth_date IS NULL OR c.birth_date = p_birth_date)
    AND (
        p_meant IS NULL
        OR EXISTS (
            SELECT FROM register.address AS a
            WHERE a.citizen_id = c.citizen_id AND register.address_words(a.line) @@ p_meant
        )
        OR EXISTS (
            SELECT FROM register.household_member AS n
            INNER JOIN register.household AS h ON n.household_id = h.household_id
            WHERE n.citizen_id = c.citizen_id AND register.address_words(h.address) @@ p_meant
        )
    )
GROUP BY c.citizen_id;
$$;
REVOKE ALL ON FUNCTION register.fitting(uuid[], real[], text, boolean, date, tsquery)
FROM public, spk_register;

-- A page of the people asked for by one or more of number, name, birth date and address: the
-- likeliest first, after p_after_id, found with p_after_likeness (NULL: from the first; who is gone
-- has nobody after them). At most p_bound people are looked at; `bounded` tells that more
-- may fit: ask more narrowly. Logged for each person shown.
-- Whatever the planner makes of the tables' sizes, few rows are looked for, each through an index;
-- the settings hold for the functions called here too.
CREATE OR REPLACE FUNCTION register.find(
    p_by text, p_purpose text,
    p_number text, p_name text, p_birth_date date, p_address text,
    p_after_likeness real, p_after_id uuid, p_count integer, p_bound integer
) RETURNS TABLE (
    citizen_id uuid, snils text, last_name text, first_name text, patronymic text,
    birth_date date, death_date date, address text, likeness real, bounded boolean
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    meant CONSTANT tsquery := register.address_meant(p_address);
    after_key CONSTANT text := (
        SELECT register.sort_key(c) FROM register.citizen AS c WHERE c.citizen_id = p_after_id
    );
    ids uuid[];
    alike real[];
    looked_at integer;
    typos boolean;
    there boolean;
    fit bigint;
BEGIN
    -- Typos are thought of where nobody has the very name: that is the rarer case, and dearer.
    FOREACH typos IN ARRAY CASE WHEN p_name IS NULL THEN '{f}' ELSE '{f,t}' END::boolean[] LOOP
        SELECT array_agg(f.citizen_id), array_agg(f.likeness), count(*), bool_and(f.at_address)
        INTO ids, alike, looked_at, there
        FROM register.candidates(p_number, p_name, typos, p_birth_date, meant, p_bound) AS f;
        SELECT
            array_agg(f.citizen_id), array_agg(f.likeness), coalesce(max(f.fit), 0)
        INTO ids, alike, fit
        FROM (
            SELECT f.*, count(*) OVER () AS fit
            FROM register.fitting(
                ids, alike, p_name, typos, p_birth_date, CASE WHEN there THEN NULL ELSE meant END
            ) AS f
            ORDER BY
                p_after_id IS NOT NULL
                AND (-f.likeness, f.sort_key, f.citizen_id)
                <= (-p_after_likeness, after_key, p_after_id),
                -f.likeness, f.sort_key, f.citizen_id
            LIMIT p_count
        ) AS f
        WHERE
            p_after_id IS NULL
            OR (-f.likeness, f.sort_key, f.citizen_id)
            > (-p_after_likeness, after_key, p_after_id);
        EXIT WHEN fit > 0 OR (p_after_id IS NOT NULL AND p_after_likeness = 1);
    END LOOP;
    PERFORM register.log_read(
        p_by, p_purpose, 'search', coalesce(ids, '{}'), '{}', ARRAY['citizen', 'address']
    );
    RETURN QUERY
    SELECT
        c.citizen_id, c.snils, c.last_name, c.first_name, c.patronymic, c.birth_date,
        c.death_date,
        coalesce(
            (
                SELECT a.line FROM register.address AS a WHERE a.citizen_id = c.citizen_id
                ORDER BY a.address_kind LIMIT 1
            ),
            (
                SELECT h.address FROM register.household_member AS m
                INNER JOIN register.household AS h ON m.household_id = h.household_id
                WHERE m.citizen_id = c.citizen_id LIMIT 1
            )
        ),
        f.likeness, looked_at >= p_bound
    FROM unnest(ids, alike) WITH ORDINALITY AS f (citizen_id, likeness, place)
    INNER JOIN register.citizen AS c ON f.citizen_id = c.citizen_id
    ORDER BY f.place;
END
$$;
REVOKE ALL ON FUNCTION register.find(
    text, text, text, text, date, text, real, uuid, integer, integer
) FROM public;

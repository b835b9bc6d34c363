-- Without a search path of their own, so that the planner puts them into the query.
-- Whether two names may be one with a slip of the pen: one wrong, missing or added letter, two in
-- names of eight letters and more. ё and е, upper and lower case are the same.
CREATE OR REPLACE FUNCTION register.import_alike(p_one text, p_other text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT CASE
    WHEN p_one = p_other THEN TRUE
    ELSE coalesce(
        register.levenshtein_less_equal(
            translate(lower(p_one), 'ё', 'е'),
            translate(lower(p_other), 'ё', 'е'),
            2
        ) <= CASE
            WHEN least(length(p_one), length(p_other)) >= 8 THEN 2
            WHEN least(length(p_one), length(p_other)) >= 4 THEN 1
            ELSE 0
        END,
        FALSE
    )
END;
$$;

-- Whether a slip of the pen leads from one date to the other: day and month exchanged, one digit
-- wrong, or two digits that stand side by side exchanged.
CREATE OR REPLACE FUNCTION register.import_near(p_one date, p_other date) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT
    to_char(p_one, 'YYYYDDMM') = to_char(p_other, 'YYYYMMDD')
    OR (
        SELECT count(*)
        FROM generate_series(1, 8) AS place (n)
        WHERE
            substr(to_char(p_one, 'YYYYMMDD'), place.n, 1)
            <> substr(to_char(p_other, 'YYYYMMDD'), place.n, 1)
    ) = 1;
$$;

-- How likely two entries are one person, in percent, and why. The number of either policy or tax
-- office tells for them when it is the same and against them when both have one and differ.
CREATE OR REPLACE FUNCTION register.import_likeness(
    p_one register.citizen, p_other register.citizen
) RETURNS TABLE (score smallint, reasons text[])
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
WITH told AS (
    SELECT
        p_one.enp = p_other.enp AS same_enp,
        p_one.inn = p_other.inn AS same_inn,
        p_one.birth_date = p_other.birth_date AS same_birth,
        p_one.last_name = p_other.last_name
        AND p_one.first_name = p_other.first_name
        AND p_one.patronymic IS NOT DISTINCT FROM p_other.patronymic AS same_name,
        register.import_alike(p_one.last_name, p_other.last_name) AS last_alike,
        register.import_alike(p_one.first_name, p_other.first_name) AS first_alike,
        p_one.patronymic IS NULL
        OR p_other.patronymic IS NULL
        OR register.import_alike(p_one.patronymic, p_other.patronymic) AS patronymic_alike,
        p_one.first_name = p_other.first_name
        AND p_one.patronymic = p_other.patronymic
        AND p_one.sex = 'f'
        AND p_other.sex = 'f' AS only_surname_differs
),

weighed AS (
    SELECT
        t.*,
        CASE
            WHEN t.same_birth AND t.same_name THEN 95
            WHEN t.same_birth AND t.last_alike AND t.first_alike AND t.patronymic_alike THEN 85
            WHEN t.same_birth AND t.only_surname_differs THEN 70
            WHEN t.same_name AND register.import_near(p_one.birth_date, p_other.birth_date) THEN 75
            ELSE 0
        END AS by_name
    FROM told AS t
)

SELECT
    CASE
        WHEN coalesce(w.same_enp, FALSE) OR coalesce(w.same_inn, FALSE) THEN 99
        ELSE greatest(
            0,
            w.by_name
            - CASE WHEN NOT coalesce(w.same_enp, TRUE) THEN 20 ELSE 0 END
            - CASE WHEN NOT coalesce(w.same_inn, TRUE) THEN 20 ELSE 0 END
        )
    END::smallint,
    array_remove(ARRAY[
        CASE WHEN w.same_enp THEN 'same_enp' END,
        CASE WHEN w.same_inn THEN 'same_inn' END,
        CASE
            WHEN w.by_name = 95 THEN 'same_name_and_birth'
            WHEN w.by_name = 85 THEN 'similar_name_same_birth'
            WHEN w.by_name = 75 THEN 'same_name_near_birth'
            WHEN w.same_birth AND w.only_surname_differs THEN 'changed_surname'
        END
    ], NULL)
FROM weighed AS w;
$$;

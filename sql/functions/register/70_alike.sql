-- A typed word where it is one of these parts, or, with p_typos, the words of each part most like
-- it; how alike they are (1: the very word). What was typed in Latin letters by mistake is read as
-- the same keys of the Russian keyboard too. Words one slip away come first and cheaply; only where
-- there is none are those looked for that share a third of their groups of three letters, since
-- that reads a good part of an index.
CREATE OR REPLACE FUNCTION register.alike(
    p_parts text[], p_typed text, p_typos boolean, p_count integer
)
RETURNS TABLE (part text, word text, likeness real)
LANGUAGE sql STABLE SET search_path = pg_catalog, register
-- these indexes have no other way
SET enable_bitmapscan = on AS $$
WITH typed AS (
    SELECT register.name_key(p_typed) AS word
    UNION
    SELECT translate(
        register.name_key(p_typed), 'qwertyuiop[]asdfghjkl;zxcvbnm,`',
        'йцукенгшщзхъфывапролджячсмитьбе'
    )
    WHERE p_typed !~ '[А-Яа-яЁё]'
),

-- A mistyped surname is looked for in the form of the other sex too, which the family bears.
form AS (
    SELECT t.word, '{last,first,patronymic,address}'::text[] AS parts, 1 AS weight
    FROM typed AS t
    UNION ALL
    SELECT
        CASE
            WHEN t.word LIKE '%ая' THEN left(t.word, -2) || 'ий'
            WHEN t.word LIKE '%ий' THEN left(t.word, -2) || 'ая'
            WHEN t.word LIKE '%а' THEN left(t.word, -1)
            ELSE t.word || 'а'
        END, '{last}', 0.9
    FROM typed AS t
    WHERE length(t.word) > 3 AND 'last' = ANY(p_parts)
),

near AS MATERIALIZED (
    SELECT n.part, n.word, 1::real AS likeness
    FROM typed AS t
    INNER JOIN register.name_word AS n ON n.part = ANY(p_parts) AND t.word = n.word
    UNION ALL
    SELECT n.part, n.word, t.weight * (0.5 + 0.49 * register.similarity(
            register.in_ascii(n.word), register.in_ascii(t.word)
        ))
    FROM form AS t
    INNER JOIN register.name_word AS n ON register.slips(n.word) && register.slips(t.word)
    WHERE
        p_typos AND n.part = ANY(p_parts) AND n.part = ANY(t.parts)
        -- not of equal hashes only
        AND register.levenshtein_less_equal(n.word, t.word, 2) <= 2
)

SELECT r.part, r.word, r.likeness
FROM (
    SELECT
        f.part, f.word, max(f.likeness)::real AS likeness,
        row_number() OVER (PARTITION BY f.part ORDER BY max(f.likeness) DESC, f.word) AS place
    FROM (
        SELECT n.* FROM near AS n
        UNION ALL
        SELECT n.part, n.word, 0.99 * register.similarity(
                register.in_ascii(n.word), register.in_ascii(t.word)
            )
        FROM typed AS t
        -- `%` is what the index knows; its least likeness is pg_trgm's default, 0.3
        INNER JOIN register.name_word AS n
            ON register.in_ascii(n.word) OPERATOR(register.%) register.in_ascii(t.word)
        WHERE
            p_typos AND n.part = ANY(p_parts) AND abs(length(n.word) - length(t.word)) <= 8
            AND NOT EXISTS (SELECT FROM near)
    ) AS f
    GROUP BY f.part, f.word
) AS r
WHERE r.place <= p_count
ORDER BY r.part, r.place;
$$;
REVOKE ALL ON FUNCTION register.alike(text[], text, boolean, integer) FROM public, spk_register;

-- What a typed name may mean: last, first name and patronymic as they are spelled in the register,
-- NULL where none was typed; in any order of the words; the likeliest first. A single word is a
-- last name, or, where none is like it, a first name.
CREATE OR REPLACE FUNCTION register.names_meant(p_name text, p_typos boolean)
RETURNS TABLE (last_key text, first_key text, patronymic_key text, likeness real)
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
WITH typed AS (
    SELECT w.word, w.place
    FROM regexp_split_to_table(btrim(p_name), '\s+') WITH ORDINALITY AS w (word, place)
    WHERE w.place <= 3
),

alike AS MATERIALIZED (
    SELECT t.place, a.part, a.word, a.likeness
    FROM typed AS t
    CROSS JOIN LATERAL register.alike('{last,first,patronymic}', t.word, p_typos, 6) AS a
),

role AS (
    SELECT r.last_place, r.first_place, r.patronymic_place
    FROM (VALUES
        (1, 1, NULL, NULL), (1, NULL, 1, NULL),
        (2, 1, 2, NULL), (2, 2, 1, NULL), (2, NULL, 1, 2),
        (3, 1, 2, 3), (3, 3, 1, 2), (3, 2, 1, 3)
    ) AS r (words, last_place, first_place, patronymic_place)
    WHERE r.words = (SELECT count(*) FROM typed)
),

meant AS (
    SELECT
        l.word AS last_key, f.word AS first_key, p.word AS patronymic_key,
        coalesce(l.likeness, 1) * coalesce(f.likeness, 1) * coalesce(p.likeness, 1) AS likeness,
        r.last_place IS NULL AS lacks_last
    FROM role AS r
    LEFT JOIN alike AS l ON l.part = 'last' AND l.place = r.last_place
    LEFT JOIN alike AS f ON f.part = 'first' AND f.place = r.first_place
    LEFT JOIN alike AS p ON p.part = 'patronymic' AND p.place = r.patronymic_place
    WHERE
        (r.last_place IS NULL OR l.word IS NOT NULL)
        AND (r.first_place IS NULL OR f.word IS NOT NULL)
        AND (r.patronymic_place IS NULL OR p.word IS NOT NULL)
)

SELECT m.last_key, m.first_key, m.patronymic_key, max(m.likeness)::real
FROM meant AS m
GROUP BY m.last_key, m.first_key, m.patronymic_key, m.lacks_last
ORDER BY 4 DESC, m.lacks_last, 1, 2, 3
LIMIT 24;
$$;
REVOKE ALL ON FUNCTION register.names_meant(text, boolean) FROM public, spk_register;

-- The query for the words of a typed address: each word, or those most like it where it is none of
-- the register's; the words for street, house and the like may be typed or left out. NULL: no word.
CREATE OR REPLACE FUNCTION register.address_meant(p_address text) RETURNS tsquery
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
SELECT string_agg('(' || w.meant || ')', ' & ')::tsquery
FROM (
    SELECT CASE
        WHEN length(t.word) <= 3 OR t.word ~ '[0-9]' OR EXISTS (
            SELECT FROM register.name_word AS n WHERE n.part = 'address' AND n.word = t.word
        ) THEN quote_literal(t.word)
        ELSE coalesce(
            (
                SELECT string_agg(quote_literal(l.word), ' | ')
                FROM register.alike('{address}', t.word, TRUE, 3) AS l
            ),
            quote_literal(t.word)
        )
    END AS meant
    FROM unnest(tsvector_to_array(register.address_words(p_address))) AS t (word)
    WHERE t.word <> ALL(ARRAY[
        'г', 'город', 'ул', 'улица', 'д', 'дом', 'кв', 'квартира', 'пр', 'просп', 'проспект', 'пер',
        'переулок', 'корп', 'корпус', 'обл', 'область', 'с', 'село', 'п', 'поселок', 'дер', 'деревня'
    ])
) AS w;
$$;
REVOKE ALL ON FUNCTION register.address_meant(text) FROM public, spk_register;

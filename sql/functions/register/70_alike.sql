-- A typed word where it is one of a part, or, with p_typos, the words most like it; how alike
-- they are (1: the very word). What was typed in Latin letters by mistake is read as the same keys
-- of the Russian keyboard too.
CREATE OR REPLACE FUNCTION register.alike(
    p_part text, p_typed text, p_typos boolean, p_count integer
)
RETURNS TABLE (word text, likeness real)
LANGUAGE sql STABLE SET search_path = pg_catalog, register AS $$
WITH typed AS (
    SELECT register.name_key(p_typed) AS word
    UNION
    SELECT translate(
        register.name_key(p_typed), 'qwertyuiop[]asdfghjkl;zxcvbnm,`',
        'йцукенгшщзхъфывапролджячсмитьбе'
    )
    WHERE p_typed !~ '[А-Яа-яЁё]'
)

SELECT f.word, max(f.likeness)
FROM (
    SELECT n.word, 1::real AS likeness
    FROM typed AS t
    INNER JOIN register.name_word AS n ON n.part = p_part AND t.word = n.word
    UNION ALL
    (
        SELECT n.word, least(
                0.99, register.similarity(register.in_ascii(n.word), register.in_ascii(t.word))
            ) AS likeness
        FROM typed AS t
        -- `%` is what the index knows; its least likeness is pg_trgm's default, 0.3
        INNER JOIN register.name_word AS n
            ON n.part = p_part
            AND register.in_ascii(n.word) OPERATOR(register.%) register.in_ascii(t.word)
        WHERE p_typos AND abs(length(n.word) - length(t.word)) <= 8
        ORDER BY 2 DESC, 1 LIMIT p_count
    )
) AS f
GROUP BY f.word
ORDER BY 2 DESC, 1
LIMIT p_count;
$$;
REVOKE ALL ON FUNCTION register.alike(text, text, boolean, integer) FROM public, spk_register;

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
    SELECT t.place, p.part, a.word, a.likeness
    FROM typed AS t
    CROSS JOIN (VALUES ('last'), ('first'), ('patronymic')) AS p (part)
    CROSS JOIN LATERAL register.alike(p.part, t.word, p_typos, 6) AS a
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
    SELECT coalesce((
        SELECT string_agg(quote_literal(a.word), ' | ')
        FROM (
            SELECT l.word FROM register.alike('address', t.word, TRUE, 3) AS l
            -- the very word alone, where it is one
            WHERE length(t.word) > 3 AND t.word !~ '[0-9]'
                AND (l.likeness = 1 OR NOT EXISTS (
                    SELECT FROM register.name_word AS n
                    WHERE n.part = 'address' AND n.word = t.word
                ))
        ) AS a
    ), quote_literal(t.word)) AS meant
    FROM unnest(tsvector_to_array(register.address_words(p_address))) AS t (word)
    WHERE t.word <> ALL(ARRAY[
        'г', 'город', 'ул', 'улица', 'д', 'дом', 'кв', 'квартира', 'пр', 'просп', 'проспект', 'пер',
        'переулок', 'корп', 'корпус', 'обл', 'область', 'с', 'село', 'п', 'поселок', 'дер', 'деревня'
    ])
) AS w;
$$;
REVOKE ALL ON FUNCTION register.address_meant(text) FROM public, spk_register;

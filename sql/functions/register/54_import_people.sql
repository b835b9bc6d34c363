-- Rows about citizens that a person has to look at: an СНИЛС that the register knows with another
-- person, and new people who are likely known already under another СНИЛС, whose candidates go to
-- the table `likely`.
CREATE OR REPLACE FUNCTION register.import_people(p_from_score smallint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE staged AS s
    SET outcome = 'waiting', code = 'snils_of_another'
    FROM register.citizen AS c
    WHERE
        s.outcome = 'changed'
        AND s.decision IS NULL
        AND s.record_id = c.citizen_id
        AND (
            (s.r).birth_date <> c.birth_date
            OR NOT register.import_alike((s.r).first_name, c.first_name)
        );

    -- The cheap comparisons stand here, since most people born on a day are somebody else.
    INSERT INTO likely (line, record_id, score, reasons)
    SELECT DISTINCT ON (s.line, c.citizen_id) s.line, c.citizen_id, l.score, l.reasons
    FROM staged AS s
    CROSS JOIN LATERAL (
        SELECT b.*
        FROM register.citizen AS b
        WHERE
            b.birth_date = (s.r).birth_date
            AND left(b.first_name, 1) = left((s.r).first_name, 1)
            AND (
                (b.first_name = (s.r).first_name AND b.patronymic = (s.r).patronymic)
                OR (
                    b.last_name = (s.r).last_name
                    OR register.levenshtein_less_equal(b.last_name, (s.r).last_name, 2) <= 2
                )
            )
        UNION ALL
        SELECT n.*
        FROM register.citizen AS n
        WHERE
            hashtext(n.last_name || ' ' || n.first_name || ' ' || coalesce(n.patronymic, ''))
            = hashtext(
                (s.r).last_name || ' ' || (s.r).first_name || ' '
                || coalesce((s.r).patronymic, '')
            )
            AND n.birth_date <> (s.r).birth_date
        UNION ALL
        SELECT e.* FROM register.citizen AS e WHERE e.enp = (s.r).enp
        UNION ALL
        SELECT i.* FROM register.citizen AS i WHERE i.inn = (s.r).inn
    ) AS c
    CROSS JOIN LATERAL register.import_likeness(s.r, c) AS l
    WHERE
        s.outcome = 'created'
        AND s.decision IS NULL
        AND l.score >= p_from_score
    ORDER BY s.line, c.citizen_id, l.score DESC;

    UPDATE staged AS s
    SET outcome = 'waiting', code = 'likely_known'
    FROM (SELECT DISTINCT k.line FROM likely AS k) AS k
    WHERE s.line = k.line;
END
$$;

-- The same among the new people of a chunk, each compared with those that stand before in the file.
-- Rows are brought together by grouping: its cost does not hang on what the planner knows of a
-- fresh table.
CREATE OR REPLACE FUNCTION register.import_people_of_chunk(p_from_score smallint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO likely (line, record_id, score, reasons)
    SELECT DISTINCT ON (s.line, o.record_id) s.line, o.record_id, l.score, l.reasons
    FROM (
        SELECT array_agg(s.line ORDER BY s.line) AS lines
        FROM staged AS s
        CROSS JOIN LATERAL (VALUES
            (to_char((s.r).birth_date, 'YYYYMMDD') || left((s.r).first_name, 1)),
            (
                (s.r).last_name || ' ' || (s.r).first_name || ' '
                || coalesce((s.r).patronymic, '')
            ),
            ('enp ' || (s.r).enp),
            ('inn ' || (s.r).inn)
        ) AS k (together)
        WHERE s.outcome = 'created' AND k.together IS NOT NULL
        GROUP BY k.together
        HAVING count(*) > 1
    ) AS g
    CROSS JOIN LATERAL unnest(g.lines) AS a (line)
    CROSS JOIN LATERAL unnest(g.lines) AS b (line)
    INNER JOIN staged AS s ON a.line = s.line
    INNER JOIN staged AS o ON b.line = o.line
    CROSS JOIN LATERAL register.import_likeness(s.r, o.r) AS l
    WHERE b.line < a.line AND s.decision IS NULL AND l.score >= p_from_score
    ORDER BY s.line, o.record_id, l.score DESC;

    UPDATE staged AS s
    SET outcome = 'waiting', code = 'likely_known'
    FROM (SELECT DISTINCT k.line FROM likely AS k) AS k
    WHERE s.line = k.line AND s.outcome = 'created' AND s.decision IS NULL;
END
$$;

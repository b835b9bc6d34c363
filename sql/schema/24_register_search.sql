-- How people are found by what is on a paper or in somebody's memory. Names repeat: a million
-- people have some ten thousand surnames. So what is typed, with its typos, is first looked up
-- among the different words, and these then lead to the people by ordinary indexes; a trigram index
-- over all people would cost more to fill than everything else, and find thousands of a name.

CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA register;

-- A name as it is compared: lower case, ё as е, hyphens and full stops as spaces, no apostrophes.
-- The letters are spelled out, since what `lower` does depends on the server's locale and indexes
-- rest on this.
CREATE FUNCTION register.name_key(p_text text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN translate(
    p_text,
    'АБВГДЕЁЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯё-.ABCDEFGHIJKLMNOPQRSTUVWXYZ''’',
    'абвгдеежзийклмнопрстуфхцчшщъыьэюяе  abcdefghijklmnopqrstuvwxyz'
);

-- An address as it is compared: its words and numbers, each once.
CREATE FUNCTION register.address_words(p_line text) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN array_to_tsvector(array_remove(
    string_to_array(translate(register.name_key(p_line), ',;:/()"«»№', '          '), ' '), ''
));

-- Every different last name, first name and patronymic, and every different word of an address.
CREATE TABLE register.name_word (
    part text NOT NULL CHECK (part IN ('last', 'first', 'patronymic', 'address')),
    word text NOT NULL,
    PRIMARY KEY (part, word)
);

-- A word's letters one for one in ASCII. What pg_trgm takes for a letter depends on the server's
-- locale: under one named C, no Russian letter is one, and no word would be like another.
CREATE FUNCTION register.in_ascii(p_word text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN translate(p_word, 'абвгдежзийклмнопрстуфхцчшщъыьэюя', 'abvgdejziyklmnoprstufhcqwx012345');

CREATE INDEX name_word_typos ON register.name_word
USING gin (register.in_ascii(word) register.gin_trgm_ops);

-- A word and what is left of it when any one letter is left out, as hashes. Two words that share
-- one are a slip of the pen apart: a letter wrong, missing, added, or exchanged with the next. Not
-- in SQL, which takes ten times as long to begin a query for each word.
CREATE FUNCTION register.slips(p_word text) RETURNS integer[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
DECLARE
    found integer[] := ARRAY[hashtext(p_word)];
BEGIN
    FOR letter IN 1..length(p_word) LOOP
        found := found || hashtext(overlay(p_word PLACING '' FROM letter FOR 1));
    END LOOP;
    RETURN found;
END
$$;

CREATE INDEX name_word_slips ON register.name_word USING gin (register.slips(word));

CREATE INDEX citizen_by_last_name ON register.citizen (
    register.name_key(last_name), register.name_key(first_name), birth_date, citizen_id
);
CREATE INDEX citizen_by_first_name ON register.citizen (
    register.name_key(first_name), register.name_key(patronymic), birth_date, citizen_id
);
CREATE INDEX citizen_by_birth_date ON register.citizen (
    birth_date, register.name_key(last_name), citizen_id
);
CREATE INDEX contact_by_value ON register.contact (value);
CREATE INDEX address_by_word ON register.address USING gin (register.address_words(line));
CREATE INDEX household_by_word ON register.household USING gin (register.address_words(address));

-- Keep the different words. Those that are there already, nearly all, cost a look-up only.
CREATE FUNCTION register.keep_name_words() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    INSERT INTO register.name_word (part, word)
    SELECT DISTINCT w.part, w.word
    FROM after AS a
    CROSS JOIN LATERAL (VALUES
        ('last', register.name_key(a.last_name)),
        ('first', register.name_key(a.first_name)),
        ('patronymic', register.name_key(a.patronymic))
    ) AS w (part, word)
    WHERE w.word IS NOT NULL AND NOT EXISTS (
        SELECT FROM register.name_word AS n WHERE n.part = w.part AND n.word = w.word
    )
    ORDER BY 1, 2
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;

-- The same for addresses; the argument is their column. Numbers have no typos to be looked up.
CREATE FUNCTION register.keep_address_words() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    EXECUTE format(
        'INSERT INTO register.name_word (part, word)'
        ' SELECT ''address'', w.word FROM ('
        'SELECT DISTINCT unnest(tsvector_to_array(register.address_words(a.%I))) AS word'
        ' FROM after AS a) AS w'
        ' WHERE length(w.word) > 3 AND w.word !~ ''[0-9]'' AND NOT EXISTS ('
        'SELECT FROM register.name_word AS n WHERE n.part = ''address'' AND n.word = w.word)'
        ' ORDER BY w.word ON CONFLICT DO NOTHING',
        tg_argv[0]
    );
    RETURN NULL;
END
$$;

DO $$
DECLARE
    event text;
BEGIN
    FOREACH event IN ARRAY ARRAY['INSERT', 'UPDATE'] LOOP
        EXECUTE format(
            'CREATE TRIGGER keep_words_%1$s AFTER %1$s ON register.citizen'
            ' REFERENCING NEW TABLE AS after'
            ' FOR EACH STATEMENT EXECUTE FUNCTION register.keep_name_words()', lower(event)
        );
        EXECUTE format(
            'CREATE TRIGGER keep_words_%1$s AFTER %1$s ON register.address'
            ' REFERENCING NEW TABLE AS after'
            ' FOR EACH STATEMENT EXECUTE FUNCTION register.keep_address_words(''line'')',
            lower(event)
        );
        EXECUTE format(
            'CREATE TRIGGER keep_words_%1$s AFTER %1$s ON register.household'
            ' REFERENCING NEW TABLE AS after'
            ' FOR EACH STATEMENT EXECUTE FUNCTION register.keep_address_words(''address'')',
            lower(event)
        );
    END LOOP;
END
$$;

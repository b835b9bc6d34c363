-- The columns of a kind's table that a row is written with, as a list for SQL, each after p_prefix:
-- all but those that the database fills in itself.
CREATE OR REPLACE FUNCTION register.table_columns(p_table text, p_prefix text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
SELECT string_agg(p_prefix || quote_ident(a.attname), ', ' ORDER BY a.attnum)
FROM pg_attribute AS a
WHERE
    a.attrelid = format('register.%I', p_table)::regclass
    AND a.attnum > 0
    AND NOT a.attisdropped
    AND a.attgenerated = ''
    AND a.attname NOT IN ('change_id', 'recorded_at');
$$;
REVOKE ALL ON FUNCTION register.table_columns(text, text) FROM public, spk_register;

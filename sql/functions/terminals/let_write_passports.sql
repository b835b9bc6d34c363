-- Say whether a terminal may renew social passports. Returns false when there is no such terminal.
CREATE OR REPLACE FUNCTION terminals.let_write_passports(p_terminal_id text, p_may boolean)
RETURNS boolean
LANGUAGE sql AS $$
WITH changed AS (
    UPDATE terminals.terminal AS t SET writes_passports = p_may
    WHERE t.terminal_id = p_terminal_id
    RETURNING t.terminal_id
)

SELECT EXISTS (SELECT FROM changed);
$$;
REVOKE ALL ON FUNCTION terminals.let_write_passports(text, boolean) FROM public;
GRANT EXECUTE ON FUNCTION terminals.let_write_passports(text, boolean) TO spk_operator;

-- Set a terminal's state: 1 active, 2 blocked. Returns false when there is no such terminal.
CREATE OR REPLACE FUNCTION terminals.set_state(p_terminal_id text, p_state smallint)
RETURNS boolean
LANGUAGE sql AS $$
WITH changed AS (
    UPDATE terminals.terminal AS t SET state = p_state
    WHERE t.terminal_id = p_terminal_id
    RETURNING t.terminal_id
)

SELECT EXISTS (SELECT FROM changed);
$$;
REVOKE ALL ON FUNCTION terminals.set_state(text, smallint) FROM public;
GRANT EXECUTE ON FUNCTION terminals.set_state(text, smallint) TO spk_operator;

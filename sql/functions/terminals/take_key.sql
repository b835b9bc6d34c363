-- Make the key that was handed out the terminal's only one, because it has used it. Returns
-- whether it waited for that.
CREATE OR REPLACE FUNCTION terminals.take_key(p_terminal_id text, p_generation smallint)
RETURNS boolean
LANGUAGE sql AS $$
WITH changed AS (
    UPDATE terminals.terminal AS t
    SET
        key_generation = t.next_key_generation,
        next_key_generation = NULL,
        master_generation = t.next_master_generation,
        next_master_generation = NULL
    WHERE t.terminal_id = p_terminal_id AND t.next_key_generation = p_generation
    RETURNING t.terminal_id
)

SELECT EXISTS (SELECT FROM changed);
$$;
REVOKE ALL ON FUNCTION terminals.take_key(text, smallint) FROM public;
GRANT EXECUTE ON FUNCTION terminals.take_key(text, smallint) TO spk_processing;

-- Give a terminal new keys, from one generation of the terminal master, with its next parameter
-- file: nothing made with the present ones, or
-- with those handed out under them, is believed any more. Returns false when there is no such
-- terminal.
CREATE OR REPLACE FUNCTION terminals.renew_keys(p_terminal_id text, p_master_generation smallint)
RETURNS boolean
LANGUAGE sql AS $$
WITH changed AS (
    UPDATE terminals.terminal AS t
    SET
        -- Past a generation that was handed out: whoever has the old file may know it.
        key_generation = ((coalesce(t.next_key_generation, t.key_generation) + 1) % 256)::smallint,
        next_key_generation = NULL,
        master_generation = p_master_generation,
        next_master_generation = NULL,
        exchange_generation = ((t.exchange_generation + 1) % 256)::smallint
    WHERE t.terminal_id = p_terminal_id
    RETURNING t.terminal_id
)

SELECT EXISTS (SELECT FROM changed);
$$;
REVOKE ALL ON FUNCTION terminals.renew_keys(text, smallint) FROM public;
GRANT EXECUTE ON FUNCTION terminals.renew_keys(text, smallint) TO spk_operator;

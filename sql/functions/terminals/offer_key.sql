-- Hand a terminal its next MAC key: return which generation that is, under which exchange key it
-- travels, and from which generations of the terminal master its keys come now and then. Asked
-- again before the terminal used it, the answer is the same. No row: there is no such terminal, or
-- it is blocked.
CREATE OR REPLACE FUNCTION terminals.offer_key(p_terminal_id text, p_master_generation smallint)
RETURNS TABLE (
    key_generation smallint, exchange_generation smallint, master_generation smallint,
    next_master_generation smallint
)
LANGUAGE sql AS $$
UPDATE terminals.terminal AS t
SET
    next_key_generation
    = coalesce(t.next_key_generation, ((t.key_generation + 1) % 256)::smallint),
    next_master_generation = coalesce(t.next_master_generation, p_master_generation)
WHERE t.terminal_id = p_terminal_id AND t.state = 1
RETURNING
    t.next_key_generation, t.exchange_generation, t.master_generation, t.next_master_generation;
$$;
REVOKE ALL ON FUNCTION terminals.offer_key(text, smallint) FROM public;
GRANT EXECUTE ON FUNCTION terminals.offer_key(text, smallint) TO spk_processing;

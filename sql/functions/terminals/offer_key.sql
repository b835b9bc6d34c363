-- Hand a terminal its next MAC key: return which generation that is and under which exchange key
-- it travels. Asked again before the terminal used it, the answer is the same. No row: there is
-- no such terminal, or it is blocked.
CREATE OR REPLACE FUNCTION terminals.offer_key(p_terminal_id text)
RETURNS TABLE (key_generation smallint, exchange_generation smallint)
LANGUAGE sql AS $$
UPDATE terminals.terminal AS t
SET next_key_generation
    = coalesce(t.next_key_generation, ((t.key_generation + 1) % 256)::smallint)
WHERE t.terminal_id = p_terminal_id AND t.state = 1
RETURNING t.next_key_generation, t.exchange_generation;
$$;
REVOKE ALL ON FUNCTION terminals.offer_key(text) FROM public;
GRANT EXECUTE ON FUNCTION terminals.offer_key(text) TO spk_processing;

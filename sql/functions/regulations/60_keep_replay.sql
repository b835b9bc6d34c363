-- Keep the record of a replay, with the changed transactions in their order.
CREATE OR REPLACE FUNCTION regulations.keep_replay(
    p_replay regulations.replay, p_changes jsonb[]
) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO regulations.replay SELECT (p_replay).*;
    INSERT INTO regulations.replay_change
    SELECT (p_replay).replay_id, c.number, c.change
    FROM unnest(p_changes) WITH ORDINALITY AS c (change, number)
$$;

-- Give an order up, so that no card can be linked to it any more. Returns the order's state then:
-- 3 given up (now or before), 2 it was issued and stays so; NULL: this station has no such order.
-- An application that led to it waits for approval again.
CREATE OR REPLACE FUNCTION cards.give_up_order(p_order_id uuid, p_station_id text)
RETURNS smallint
LANGUAGE plpgsql AS $$
DECLARE
    found_state smallint;
BEGIN
    SELECT o.state INTO found_state
    FROM cards.card_order AS o
    WHERE o.order_id = p_order_id AND o.station_id = p_station_id
    FOR UPDATE;
    IF found_state = 1 THEN
        UPDATE cards.card_order AS o SET state = 3 WHERE o.order_id = p_order_id;
        UPDATE cards.application AS a
        SET state = 1, order_id = NULL, decided_at = NULL, decided_by = NULL
        WHERE a.order_id = p_order_id AND a.state = 2;
        -- Whatever was written for it is no card any more: its GUID is never used again.
        PERFORM cards.note_transition(
            o.card_id, cards.stage_of(o.card_id), 12::smallint, 'station ' || p_station_id,
            'the order was given up'
        )
        FROM cards.card_order AS o
        WHERE o.order_id = p_order_id AND cards.stage_of(o.card_id) <> 12;
        found_state := 3;
    END IF;
    RETURN found_state;
END
$$;
REVOKE ALL ON FUNCTION cards.give_up_order(uuid, text) FROM public;
GRANT EXECUTE ON FUNCTION cards.give_up_order(uuid, text) TO spk_issuing;

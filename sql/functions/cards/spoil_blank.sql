-- A blank was spoiled while an order was written to it: it is counted, and a fresh order of the
-- same card takes the place of this one. After p_spoiled_max blanks the order is given up
-- instead, and its application waits for approval again. Returns 1 and the fresh order, also when
-- it was told before; 2 no more are made; 3 the card number is taken: draw others and call again;
-- 4 the card is issued already; 5 the order was given up before; 6 this station has no such
-- order.
CREATE OR REPLACE FUNCTION cards.spoil_blank(
    p_old_order_id uuid,
    p_station_id text,
    p_order_id uuid,
    p_card_id uuid,
    p_card_number text,
    p_challenge bytea,
    p_on date,
    p_reason text,
    p_spoiled_max integer
) RETURNS TABLE (result smallint, order_id uuid)
LANGUAGE plpgsql AS $$
DECLARE
    old cards.card_order;
    told CONSTANT text := 'station ' || p_station_id;
BEGIN
    SELECT o.* INTO old FROM cards.card_order AS o
    WHERE o.order_id = p_old_order_id AND o.station_id = p_station_id FOR UPDATE;
    IF old.order_id IS NULL THEN
        RETURN QUERY SELECT 6::smallint, NULL::uuid;
        RETURN;
    ELSIF old.remade_as IS NOT NULL THEN
        RETURN QUERY SELECT 1::smallint, old.remade_as;
        RETURN;
    ELSIF old.state <> 1 THEN
        RETURN QUERY SELECT CASE old.state
            WHEN 2 THEN 4
            -- told before: there was no fresh order then either
            WHEN 3 THEN CASE WHEN EXISTS (
                SELECT FROM cards.blank_move AS m WHERE m.order_id = p_old_order_id
            ) THEN 2 ELSE 5 END
        END::smallint, NULL::uuid;
        RETURN;
    END IF;
    IF old.spoiled_before + 1 >= p_spoiled_max THEN
        PERFORM cards.give_up_order(p_old_order_id, p_station_id);
    ELSIF NOT cards.remake_order(
        p_old_order_id, p_order_id, p_card_id, p_card_number, p_challenge, p_station_id,
        1::smallint, told, 'spoiled: ' || p_reason
    ) THEN
        RETURN QUERY SELECT 3::smallint, NULL::uuid;
        RETURN;
    END IF;
    INSERT INTO cards.blank_move (kind, station_id, blanks, moved_on, made_by, reason, order_id)
    VALUES (4, p_station_id, 1, p_on, told, p_reason, p_old_order_id);
    IF old.spoiled_before + 1 >= p_spoiled_max THEN
        RETURN QUERY SELECT 2::smallint, NULL::uuid;
    ELSE
        RETURN QUERY SELECT 1::smallint, p_order_id;
    END IF;
END
$$;
REVOKE ALL ON FUNCTION cards.spoil_blank(
    uuid, text, uuid, uuid, text, bytea, date, text, integer
) FROM public;
GRANT EXECUTE ON FUNCTION cards.spoil_blank(
    uuid, text, uuid, uuid, text, bytea, date, text, integer
) TO spk_issuing;

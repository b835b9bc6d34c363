-- Put a fresh order in the place of an open one, with another GUID, number and challenge:
-- whatever was written for the old one never becomes a card. For the functions beside it, which
-- hold the old order's row. False: the card number is taken.
CREATE OR REPLACE FUNCTION cards.remake_order(
    p_old_order_id uuid,
    p_order_id uuid,
    p_card_id uuid,
    p_card_number text,
    p_challenge bytea,
    p_station_id text,
    p_spoiled smallint,
    p_by text,
    p_reason text
) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM cards.card AS c WHERE c.card_number = p_card_number) THEN
        RETURN FALSE;
    END IF;
    INSERT INTO cards.card_order (
        order_id, citizen_id, register_version, station_id, card_id, card_number, issuer_region,
        valid_to, challenge, state, ordered_at, represents, point_id, batch_id, planned_on,
        expected_on, spoiled_before
    )
    SELECT
        p_order_id, o.citizen_id, o.register_version, p_station_id, p_card_id, p_card_number,
        o.issuer_region, o.valid_to, p_challenge, 1, o.ordered_at, o.represents, o.point_id,
        o.batch_id, o.planned_on, o.expected_on, o.spoiled_before + p_spoiled
    FROM cards.card_order AS o WHERE o.order_id = p_old_order_id
    ON CONFLICT (card_number) DO NOTHING;
    IF NOT FOUND THEN
        RETURN FALSE;
    END IF;
    UPDATE cards.card_order AS o SET state = 3, remade_as = p_order_id
    WHERE o.order_id = p_old_order_id;
    PERFORM cards.note_transition(
        o.card_id, cards.stage_of(o.card_id), 12::smallint, p_by, p_reason
    )
    FROM cards.card_order AS o
    WHERE o.order_id = p_old_order_id AND cards.stage_of(o.card_id) <> 12;
    UPDATE cards.application AS a SET order_id = p_order_id WHERE a.order_id = p_old_order_id;
    RETURN TRUE;
END
$$;
REVOKE ALL ON FUNCTION cards.remake_order(
    uuid, uuid, uuid, text, bytea, text, smallint, text, text
) FROM public;
GRANT EXECUTE ON FUNCTION cards.remake_order(
    uuid, uuid, uuid, text, bytea, text, smallint, text, text
) TO spk_issuing;

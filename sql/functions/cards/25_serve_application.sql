-- A card is in its holder's hands: who waited for a card of this purpose waits no more. An order
-- that is still open for the same person and purpose will not become a card, and what was written
-- for it is none.
CREATE OR REPLACE FUNCTION cards.serve_application(
    p_order_id uuid, p_citizen_id uuid, p_represents uuid, p_by text
) RETURNS void
LANGUAGE sql AS $$
    WITH given_up AS (
        UPDATE cards.card_order AS o SET state = 3
        FROM cards.application AS a
        WHERE
            a.citizen_id = p_citizen_id AND a.represents IS NOT DISTINCT FROM p_represents
            AND a.state = 2 AND o.order_id = a.order_id AND o.state = 1
            AND o.order_id <> p_order_id
        RETURNING o.card_id
    )

    SELECT cards.note_transition(
        g.card_id, cards.stage_of(g.card_id), 12::smallint, p_by, 'another card was handed over'
    )
    FROM given_up AS g;

    UPDATE cards.application AS a SET state = 3, order_id = p_order_id
    WHERE
        a.citizen_id = p_citizen_id AND a.represents IS NOT DISTINCT FROM p_represents
        AND a.state IN (1, 2)
$$;
REVOKE ALL ON FUNCTION cards.serve_application(uuid, uuid, uuid, text) FROM public;
GRANT EXECUTE ON FUNCTION cards.serve_application(uuid, uuid, uuid, text) TO spk_issuing;

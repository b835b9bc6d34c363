-- Take a batch back from its station. Each of its open orders, as named, is made anew with
-- another GUID, number and challenge, so that nothing the station still writes can become a card;
-- what it has issued stays issued. Returns 1 and how many were made anew; 2 no station has it; 3
-- no such batch; 4 orders were added or a card number is taken: look, draw and call again; 5 the
-- role at work has no right to it.
CREATE OR REPLACE FUNCTION cards.take_back_batch(
    p_batch_id uuid,
    p_old_order_ids uuid[],
    p_order_ids uuid[],
    p_card_ids uuid[],
    p_card_numbers text[],
    p_challenges bytea[],
    p_by text,
    p_reason text
) RETURNS TABLE (result smallint, remade integer)
LANGUAGE plpgsql AS $$
DECLARE
    taken cards.batch;
    one record;
    remade_now integer := 0;
BEGIN
    SELECT b.* INTO taken FROM cards.batch AS b WHERE b.batch_id = p_batch_id FOR UPDATE;
    IF taken.batch_id IS NULL OR taken.station_id IS NULL OR NOT cards.may('cards.batch') THEN
        RETURN QUERY SELECT CASE
            WHEN NOT cards.may('cards.batch') THEN 5 WHEN taken.batch_id IS NULL THEN 3 ELSE 2
        END::smallint, 0;
        RETURN;
    END IF;
    FOR one IN
        SELECT o.order_id, n.order_id AS new_order_id, n.card_id, n.card_number, n.challenge
        FROM cards.card_order AS o
        LEFT JOIN unnest(p_old_order_ids, p_order_ids, p_card_ids, p_card_numbers, p_challenges)
            AS n (old_order_id, order_id, card_id, card_number, challenge)
            ON o.order_id = n.old_order_id
        WHERE o.batch_id = p_batch_id AND o.state = 1
        ORDER BY o.order_id FOR UPDATE OF o
    LOOP
        IF one.new_order_id IS NULL OR NOT cards.remake_order(
            one.order_id, one.new_order_id, one.card_id, one.card_number, one.challenge, NULL,
            0::smallint, p_by, 'the batch was taken back: ' || p_reason
        ) THEN
            -- The whole is taken back with it: the caller rolls back.
            RETURN QUERY SELECT 4::smallint, 0;
            RETURN;
        END IF;
        remade_now := remade_now + 1;
    END LOOP;
    UPDATE cards.batch AS b SET station_id = NULL WHERE b.batch_id = p_batch_id;
    PERFORM cards.note_batch(p_batch_id, 'taken_back', taken.station_id, p_by, p_reason);
    RETURN QUERY SELECT 1::smallint, remade_now;
END
$$;
REVOKE ALL ON FUNCTION cards.take_back_batch(
    uuid, uuid[], uuid[], uuid[], text[], bytea[], text, text
) FROM public;
GRANT EXECUTE ON FUNCTION cards.take_back_batch(
    uuid, uuid[], uuid[], uuid[], text[], bytea[], text, text
) TO spk_issuing;

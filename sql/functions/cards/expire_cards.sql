-- Cards whose last day has passed come to their end, at most p_most of them, those of one holder
-- one after another. Returns how many: as long as it is p_most there may be more.
CREATE OR REPLACE FUNCTION cards.expire_cards(p_on date, p_most integer, p_by text)
RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    one record;
    expired integer := 0;
BEGIN
    FOR one IN
        SELECT d.card_id
        FROM (
            SELECT c.card_id, c.holder_id FROM cards.card AS c
            WHERE c.live AND c.valid_to < p_on ORDER BY c.valid_to, c.card_id LIMIT p_most
        ) AS d
        -- Who takes several holders' locks takes them in one order.
        ORDER BY d.holder_id, d.card_id
    LOOP
        expired := expired + (
            SELECT count(*) FROM cards.move_card(
                one.card_id, 11::smallint, p_by, 'its last day has passed'
            ) AS m WHERE m.result = 1
        );
    END LOOP;
    RETURN expired;
END
$$;
REVOKE ALL ON FUNCTION cards.expire_cards(date, integer, text) FROM public;
GRANT EXECUTE ON FUNCTION cards.expire_cards(date, integer, text) TO spk_issuing;

-- A card becomes active: what its holder could use or get back before for the same purpose (their
-- own card, or to act for one person) is replaced. A chip card takes the place of every other
-- card, a temporary one only of other temporary ones. The caller holds the holder's lock.
CREATE OR REPLACE FUNCTION cards.replace_others(
    p_card_id uuid, p_holder_id uuid, p_represents uuid, p_medium smallint, p_by text
) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    other record;
BEGIN
    FOR other IN
        SELECT c.card_id, cards.stage_of(c.card_id) AS stage
        FROM cards.card AS c
        WHERE c.holder_id = p_holder_id AND c.card_id <> p_card_id AND c.state <> 3
            AND (p_medium = 1 OR c.medium = 2)
            AND c.represents IS NOT DISTINCT FROM p_represents
    LOOP
        IF other.stage IN (7, 8) THEN
            PERFORM cards.note_transition(
                other.card_id, other.stage, 9::smallint, p_by, 'replaced by ' || p_card_id::text
            );
            PERFORM cards.set_state(other.card_id, 3::smallint);
        END IF;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION cards.replace_others(uuid, uuid, uuid, smallint, text) FROM public;
GRANT EXECUTE ON FUNCTION cards.replace_others(uuid, uuid, uuid, smallint, text)
TO spk_issuing, spk_operator;

-- Move a card on in its life. Returns the stage it was in and 1 moved; 2 it was there already, and
-- nothing was written; 3 there is no such transition; 4 no such card; 5 the role at work has no
-- right to it; 6 its holder has another active card; 7 it is not written yet, its order was given
-- up or nothing was reported of it. What a chip card that becomes active takes the place of is
-- replaced, in the same transaction.
CREATE OR REPLACE FUNCTION cards.move_card(
    p_card_id uuid, p_to smallint, p_by text, p_reason text
) RETURNS TABLE (result smallint, from_stage smallint)
LANGUAGE plpgsql AS $$
DECLARE
    subject record;
    stage smallint;
    needed text;
    new_state smallint;
BEGIN
    SELECT coalesce(c.holder_id, o.citizen_id) AS holder_id, coalesce(c.medium, 1::smallint) AS medium,
        c.card_id IS NOT NULL AS written, c.represents, o.order_id
    INTO subject
    FROM (SELECT p_card_id AS card_id) AS a
    LEFT JOIN cards.card AS c ON a.card_id = c.card_id
    LEFT JOIN cards.card_order AS o ON a.card_id = o.card_id;
    IF subject.holder_id IS NULL THEN
        RETURN QUERY SELECT 4::smallint, NULL::smallint;
        RETURN;
    END IF;
    -- All that happens to one person's cards happens one after another.
    PERFORM pg_advisory_xact_lock(hashtextextended('cards.holder ' || subject.holder_id::text, 0));
    stage := cards.stage_of(p_card_id);
    SELECT r.right_name INTO needed
    FROM cards.transition_rule AS r
    WHERE r.medium = subject.medium AND r.from_stage = stage AND r.to_stage = p_to;
    IF stage = p_to THEN
        RETURN QUERY SELECT 2::smallint, stage;
        RETURN;
    ELSIF needed IS NULL THEN
        RETURN QUERY SELECT 3::smallint, stage;
        RETURN;
    ELSIF NOT cards.may(needed) THEN
        RETURN QUERY SELECT 5::smallint, stage;
        RETURN;
    ELSIF p_to = 6 AND NOT subject.written THEN
        RETURN QUERY SELECT 7::smallint, stage;
        RETURN;
    ELSIF p_to = 7 AND stage = 8 AND EXISTS (
        SELECT FROM cards.card AS c
        WHERE
            c.holder_id = subject.holder_id AND c.card_id <> p_card_id AND c.state = 1
            AND c.medium = 1 AND c.represents IS NOT DISTINCT FROM subject.represents
    ) THEN
        RETURN QUERY SELECT 6::smallint, stage;
        RETURN;
    END IF;
    IF stage = 8 AND p_to = 7 THEN
        -- It was found: nobody waits for another any more, unless a station is at it already.
        UPDATE cards.application AS a SET state = 4 WHERE a.replaces = p_card_id AND a.state = 1;
    END IF;
    IF p_to = 7 THEN
        PERFORM cards.replace_others(
            p_card_id, subject.holder_id, subject.represents, subject.medium, p_by
        );
    END IF;
    IF p_to = 7 AND stage = 6 THEN
        UPDATE cards.application AS a SET state = 3
        WHERE a.order_id = subject.order_id AND a.state = 2;
    END IF;
    PERFORM cards.note_transition(p_card_id, stage, p_to, p_by, p_reason);
    SELECT s.state INTO new_state FROM cards.stage AS s WHERE s.stage = p_to;
    IF new_state IS NOT NULL THEN
        PERFORM cards.set_state(p_card_id, new_state);
    END IF;
    RETURN QUERY SELECT 1::smallint, stage;
END
$$;
REVOKE ALL ON FUNCTION cards.move_card(uuid, smallint, text, text) FROM public;
GRANT EXECUTE ON FUNCTION cards.move_card(uuid, smallint, text, text) TO spk_issuing, spk_operator;

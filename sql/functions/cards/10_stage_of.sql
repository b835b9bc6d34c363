-- Where a card is in its life. A card whose life was not written down, as one from before, is
-- where its state puts it; an order's card starts as a blank. NULL: no such card.
CREATE OR REPLACE FUNCTION cards.stage_of(p_card_id uuid) RETURNS smallint
LANGUAGE sql STABLE AS $$
SELECT coalesce(
    (
        SELECT t.to_stage FROM cards.transition AS t
        WHERE t.card_id = p_card_id ORDER BY t.number DESC LIMIT 1
    ),
    (
        SELECT CASE c.state WHEN 1 THEN 7 WHEN 2 THEN 8 ELSE 9 END::smallint
        FROM cards.card AS c WHERE c.card_id = p_card_id
    ),
    (SELECT 1::smallint FROM cards.card_order AS o WHERE o.card_id = p_card_id)
);
$$;
REVOKE ALL ON FUNCTION cards.stage_of(uuid) FROM public;
GRANT EXECUTE ON FUNCTION cards.stage_of(uuid) TO spk_issuing, spk_operator;

-- Whether the role at work has a right.
CREATE OR REPLACE FUNCTION cards.may(p_right_name text) RETURNS boolean
LANGUAGE sql STABLE AS $$
SELECT EXISTS (
    SELECT FROM cards.right_of_role AS r
    WHERE r.right_name = p_right_name AND pg_has_role(current_user, r.role_name::name, 'USAGE')
);
$$;
REVOKE ALL ON FUNCTION cards.may(text) FROM public;
GRANT EXECUTE ON FUNCTION cards.may(text) TO spk_issuing, spk_operator;

-- Write a transition down, whether legal or not: for the functions beside it, which have checked.
CREATE OR REPLACE FUNCTION cards.note_transition(
    p_card_id uuid, p_from smallint, p_to smallint, p_by text, p_reason text
) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO cards.transition (card_id, number, from_stage, to_stage, made_by, reason)
    SELECT p_card_id, coalesce(max(t.number), 0) + 1, p_from, p_to, p_by, p_reason
    FROM cards.transition AS t WHERE t.card_id = p_card_id
$$;
REVOKE ALL ON FUNCTION cards.note_transition(uuid, smallint, smallint, text, text) FROM public;
GRANT EXECUTE ON FUNCTION cards.note_transition(uuid, smallint, smallint, text, text)
TO spk_issuing, spk_operator;

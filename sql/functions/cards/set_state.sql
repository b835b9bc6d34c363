-- Set a card's state (1 active, 2 blocked, 3 replaced) together with every copy of it beside the
-- rights that the card may use here, and note that the other databases do not know it yet. A
-- replaced card stays replaced. Returns the state then; NULL: no such card.
CREATE OR REPLACE FUNCTION cards.set_state(p_card_id uuid, p_state smallint) RETURNS smallint
LANGUAGE sql AS $$
WITH changed AS (
    UPDATE cards.card AS c SET state = p_state, version = c.version + 1
    WHERE c.card_id = p_card_id AND c.state <> 3
    RETURNING c.card_id, c.state, c.version
),

copies AS (
    UPDATE rights.card_authority AS a SET card_state = p_state
    FROM changed AS s
    WHERE a.card_id = s.card_id
),

untold AS (
    INSERT INTO cards.delivery (card_id, version)
    SELECT s.card_id, s.version FROM changed AS s
    WHERE (SELECT t.targets FROM rights.target AS t) > 1
    ON CONFLICT (card_id) DO UPDATE SET version = excluded.version
)

SELECT coalesce(
    (SELECT s.state FROM changed AS s),
    (SELECT c.state FROM cards.card AS c WHERE c.card_id = p_card_id)
);
$$;
REVOKE ALL ON FUNCTION cards.set_state(uuid, smallint) FROM public;
GRANT EXECUTE ON FUNCTION cards.set_state(uuid, smallint) TO spk_issuing, spk_operator;

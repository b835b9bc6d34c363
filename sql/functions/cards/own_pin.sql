-- Keep what a card with a transport PIN has to sign next, in the place of what was asked before.
-- Nothing is kept for any other card.
CREATE OR REPLACE FUNCTION cards.ask_own_pin(
    p_card_id uuid, p_challenge bytea, p_at timestamptz
) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO cards.pin_challenge (card_id, challenge, made_at)
    SELECT c.card_id, p_challenge, p_at
    FROM cards.card AS c
    WHERE c.card_id = p_card_id AND c.pin_is_transport
    ON CONFLICT (card_id) DO UPDATE SET
        challenge = excluded.challenge, made_at = excluded.made_at
$$;
REVOKE ALL ON FUNCTION cards.ask_own_pin(uuid, bytea, timestamptz) FROM public;
GRANT EXECUTE ON FUNCTION cards.ask_own_pin(uuid, bytea, timestamptz) TO spk_issuing;

-- A card has a PIN of its holder's own now, in the place of the transport PIN: write that down in
-- its life, where its stage stays, and note that the other databases do not know it yet.
-- p_challenge is what the card signed. Returns false, and changes nothing, when that is not what
-- it was asked.
CREATE OR REPLACE FUNCTION cards.set_own_pin(
    p_card_id uuid, p_challenge bytea, p_by text
) RETURNS boolean
LANGUAGE sql AS $$
-- All that happens to one person's cards happens one after another.
SELECT pg_advisory_xact_lock(hashtextextended('cards.holder ' || c.holder_id::text, 0))
FROM cards.card AS c
WHERE c.card_id = p_card_id;

WITH answered AS (
    DELETE FROM cards.pin_challenge AS p
    WHERE p.card_id = p_card_id AND p.challenge = p_challenge
    RETURNING p.card_id
),

changed AS (
    UPDATE cards.card AS c SET pin_is_transport = FALSE, version = c.version + 1
    FROM answered AS a
    WHERE c.card_id = a.card_id AND c.pin_is_transport
    RETURNING c.card_id, c.version
),

untold AS (
    INSERT INTO cards.delivery (card_id, version)
    SELECT s.card_id, s.version FROM changed AS s
    WHERE (SELECT t.targets FROM rights.target AS t) > 1
    ON CONFLICT (card_id) DO UPDATE SET version = excluded.version
),

noted AS MATERIALIZED (
    SELECT cards.note_transition(
        s.card_id, cards.stage_of(s.card_id), cards.stage_of(s.card_id), p_by,
        'the holder set a PIN in the place of the transport PIN'
    )
    FROM changed AS s
)

SELECT count(*) > 0 FROM noted;
$$;
REVOKE ALL ON FUNCTION cards.set_own_pin(uuid, bytea, text) FROM public;
GRANT EXECUTE ON FUNCTION cards.set_own_pin(uuid, bytea, text) TO spk_issuing;

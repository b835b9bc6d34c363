-- Take a card over from the first database, with those it may act for whose rights lie here: the
-- holder, the services (NULL: all), the first and the last day. Again is harmless, and an older
-- version than the one here changes nothing. One of the same version may know of a PIN what a
-- state that came alone (cards.accept_state) did not tell.
CREATE OR REPLACE FUNCTION cards.accept_copy(
    p_card cards.card, p_authorities cards.authority_elsewhere[]
) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO cards.card AS c SELECT (p_card).*
    ON CONFLICT (card_id) DO UPDATE SET
        state = CASE WHEN c.version < excluded.version THEN excluded.state ELSE c.state END,
        version = excluded.version, pin_is_transport = excluded.pin_is_transport
    WHERE
        c.version < excluded.version
        OR (c.version = excluded.version AND c.pin_is_transport <> excluded.pin_is_transport);

    INSERT INTO rights.card_authority AS a (
        bucket, holder_id, card_id, region, scope, valid_from, valid_to, card_state, card_valid_to
    )
    SELECT
        h.bucket, h.holder_id, c.card_id, c.issuer_region, h.scope, h.valid_from, h.valid_to,
        c.state, c.valid_to
    FROM cards.card AS c
    CROSS JOIN unnest(p_authorities) AS h
    WHERE c.card_id = (p_card).card_id AND c.version = (p_card).version
    ON CONFLICT (bucket, holder_id, card_id) DO UPDATE SET
        scope = excluded.scope, valid_from = excluded.valid_from, valid_to = excluded.valid_to
    WHERE (a.scope, a.valid_from, a.valid_to)
        IS DISTINCT FROM (excluded.scope, excluded.valid_from, excluded.valid_to);

    UPDATE rights.card_authority AS a SET card_state = c.state
    FROM cards.card AS c
    WHERE c.card_id = (p_card).card_id AND a.card_id = c.card_id AND a.card_state <> c.state
$$;
REVOKE ALL ON FUNCTION cards.accept_copy(cards.card, cards.authority_elsewhere[]) FROM public;
GRANT EXECUTE ON FUNCTION cards.accept_copy(cards.card, cards.authority_elsewhere[])
TO spk_issuing;

-- Take a card's state over from the first database, if it is newer than the one here. Returns
-- false when the card itself has to come as well: it is not here yet, or not with this PIN.
CREATE OR REPLACE FUNCTION cards.accept_state(
    p_card_id uuid, p_state smallint, p_version integer, p_pin_is_transport boolean
) RETURNS boolean
LANGUAGE sql AS $$
    UPDATE cards.card AS c SET state = p_state, version = p_version
    WHERE c.card_id = p_card_id AND c.version < p_version;

    UPDATE rights.card_authority AS a SET card_state = c.state
    FROM cards.card AS c
    WHERE c.card_id = p_card_id AND a.card_id = c.card_id AND a.card_state <> c.state;

    SELECT EXISTS (
        SELECT FROM cards.card AS c
        WHERE c.card_id = p_card_id AND c.pin_is_transport = p_pin_is_transport
    )
$$;
REVOKE ALL ON FUNCTION cards.accept_state(uuid, smallint, integer, boolean) FROM public;
GRANT EXECUTE ON FUNCTION cards.accept_state(uuid, smallint, integer, boolean)
TO spk_issuing, spk_operator;

-- Block the copy of a card while the first database is away. Its version stays, so that whatever
-- the first database says of the card later is taken over.
CREATE OR REPLACE FUNCTION cards.block_copy(p_card_id uuid) RETURNS void
LANGUAGE sql AS $$
    UPDATE cards.card AS c SET state = 2 WHERE c.card_id = p_card_id AND c.state = 1;

    UPDATE rights.card_authority AS a SET card_state = c.state
    FROM cards.card AS c
    WHERE c.card_id = p_card_id AND a.card_id = c.card_id AND a.card_state <> c.state
$$;
REVOKE ALL ON FUNCTION cards.block_copy(uuid) FROM public;
GRANT EXECUTE ON FUNCTION cards.block_copy(uuid) TO spk_issuing, spk_operator;

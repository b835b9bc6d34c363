-- Keep the certificates of the card that was just issued for an order, and which generation of
-- the card master its 9B key comes from. Those of a card that waits to be handed over are on
-- hold. Again is harmless.
CREATE OR REPLACE FUNCTION cards.keep_certificates(
    p_order_id uuid, p_issuer_key_id bytea, p_serials bytea[], p_valid_to timestamptz[],
    p_card_master smallint
) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO cards.certificate (serial, issuer_key_id, card_id, valid_to, revoked_at, reason)
    SELECT
        c.serial, p_issuer_key_id, o.card_id, c.valid_to,
        CASE WHEN k.state <> 1 THEN now() END, cards.revocation_reason(k.card_id, k.state)
    FROM cards.card_order AS o
    INNER JOIN cards.card AS k ON o.card_id = k.card_id
    CROSS JOIN unnest(p_serials, p_valid_to) AS c (serial, valid_to)
    WHERE o.order_id = p_order_id
    ON CONFLICT DO NOTHING;

    UPDATE cards.card AS c SET card_master = p_card_master
    FROM cards.card_order AS o
    WHERE o.order_id = p_order_id AND c.card_id = o.card_id
$$;
REVOKE ALL ON FUNCTION cards.keep_certificates(
    uuid, bytea, bytea[], timestamptz[], smallint
) FROM public;
GRANT EXECUTE ON FUNCTION cards.keep_certificates(
    uuid, bytea, bytea[], timestamptz[], smallint
) TO spk_issuing;

-- The certificates of issued cards, and how they stand. Only in the first database.
CREATE TABLE cards.certificate (
    -- unsigned, big-endian, without a leading zero
    serial bytea PRIMARY KEY CHECK (
        length(serial) BETWEEN 1 AND 20 AND get_byte(serial, 0) <> 0
    ),
    -- the key identifier of the issuing CA's certificate
    issuer_key_id bytea NOT NULL CHECK (length(issuer_key_id) = 20),
    card_id uuid NOT NULL REFERENCES cards.card,
    valid_to timestamptz NOT NULL,
    revoked_at timestamptz,
    -- CRLReason (RFC 5280 5.3.1)
    reason smallint CHECK (reason IN (0, 1, 3, 4, 5, 6)),
    CONSTRAINT revoked_for_a_reason CHECK ((revoked_at IS NULL) = (reason IS NULL))
);

CREATE INDEX certificate_card ON cards.certificate (card_id);
-- A revocation list takes them in the order of their numbers.
CREATE INDEX certificate_revoked ON cards.certificate (issuer_key_id, length(serial), serial)
WHERE revoked_at IS NOT NULL;

-- The newest revocation list of each issuing CA.
CREATE TABLE cards.revocation_list (
    issuer_key_id bytea PRIMARY KEY CHECK (length(issuer_key_id) = 20),
    number bigint NOT NULL CHECK (number > 0),
    this_update timestamptz NOT NULL,
    next_update timestamptz NOT NULL CHECK (next_update > this_update),
    entries integer NOT NULL CHECK (entries >= 0),
    -- RFC 5280, DER
    body bytea NOT NULL
);

-- Why a card's certificates are revoked (CRLReason); NULL: they are good. A card whose life was not
-- written down, as one from before, is told by its state.
CREATE FUNCTION cards.revocation_reason(p_card_id uuid, p_state smallint) RETURNS smallint
LANGUAGE plpgsql STABLE AS $$
DECLARE
    latest smallint;
BEGIN
    SELECT t.to_stage INTO latest
    FROM cards.transition AS t WHERE t.card_id = p_card_id
    ORDER BY t.number DESC LIMIT 1;
    RETURN CASE
        WHEN p_state = 1 THEN NULL
        -- replaced: superseded
        WHEN p_state = 3 THEN 4
        -- revoked or expired: cessation of operation, for good
        WHEN latest IN (10, 11) THEN 5
        -- not handed over yet, or suspended: on hold, it may work again
        ELSE 6
    END;
END
$$;

-- A card's certificates stand as the card does, whoever changes its state.
CREATE FUNCTION cards.revoke_certificates() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    why CONSTANT smallint := cards.revocation_reason(new.card_id, new.state);
BEGIN
    UPDATE cards.certificate AS c SET
        reason = why,
        revoked_at = CASE WHEN why IS NOT NULL THEN coalesce(c.revoked_at, now()) END
    WHERE c.card_id = new.card_id AND c.reason IS DISTINCT FROM why;
    RETURN NULL;
END
$$;

CREATE TRIGGER certificates_follow AFTER UPDATE OF state ON cards.card
FOR EACH ROW EXECUTE FUNCTION cards.revoke_certificates();

GRANT SELECT, INSERT, UPDATE (revoked_at, reason) ON cards.certificate TO spk_issuing;
GRANT SELECT, UPDATE (revoked_at, reason) ON cards.certificate TO spk_operator;
GRANT SELECT, INSERT, UPDATE ON cards.revocation_list TO spk_issuing;
GRANT SELECT ON cards.revocation_list TO spk_operator;

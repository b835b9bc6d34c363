CREATE TABLE cards.card (
    -- the GUID of the card's CHUID
    card_id uuid PRIMARY KEY,
    card_number text NOT NULL UNIQUE CHECK (card_number ~ '^964390[0-9]{13}$'),
    -- the citizen as a rights holder, without anything personal
    holder_id uuid NOT NULL,
    issuer_region smallint NOT NULL,
    -- 1 active, 2 blocked, 3 replaced
    state smallint NOT NULL CHECK (state BETWEEN 1 AND 3),
    valid_to date NOT NULL,
    -- uncompressed P-256 points: slot 9E signs a tap, slot 9A after a PIN
    public_key_tap bytea NOT NULL CHECK (length(public_key_tap) = 65),
    public_key_pin bytea CHECK (length(public_key_pin) = 65),
    certificate_tap bytea,
    certificate_pin bytea,
    issued_at timestamptz NOT NULL,
    -- generation of the card master that the card's 9B key comes from
    card_master smallint NOT NULL DEFAULT 1 CHECK (card_master BETWEEN 1 AND 255),
    -- rises with every change of state; a copy in another database takes only a newer one
    version integer NOT NULL DEFAULT 1,
    -- 1 a chip card, 2 a temporary card: a code on paper, which has only the key of a tap
    medium smallint NOT NULL DEFAULT 1 CHECK (medium IN (1, 2)),
    CONSTRAINT only_a_chip_has_a_pin CHECK (
        (medium = 1) = (public_key_pin IS NOT NULL)
        AND (medium = 1) = (certificate_tap IS NOT NULL)
        AND (medium = 1) = (certificate_pin IS NOT NULL)
    )
);

CREATE INDEX card_holder ON cards.card (holder_id);

CREATE TABLE cards.station (
    station_id text PRIMARY KEY CHECK (station_id ~ '^[A-Za-z0-9-]{1,32}$'),
    token_sha256 bytea NOT NULL CHECK (length(token_sha256) = 32),
    active boolean NOT NULL DEFAULT TRUE
);

CREATE TABLE cards.card_order (
    order_id uuid PRIMARY KEY,
    citizen_id uuid NOT NULL,
    -- what the card is printed from
    register_version integer NOT NULL,
    station_id text NOT NULL REFERENCES cards.station,
    card_id uuid NOT NULL UNIQUE,
    card_number text NOT NULL UNIQUE,
    issuer_region smallint NOT NULL,
    valid_to date NOT NULL,
    -- signed by the new card's key in slot 9E when the station reports it: 32 random bytes
    challenge bytea NOT NULL CHECK (length(challenge) = 32),
    -- 1 ordered, 2 issued, 3 given up
    state smallint NOT NULL CHECK (state BETWEEN 1 AND 3),
    ordered_at timestamptz NOT NULL,
    issued_at timestamptz
);

CREATE INDEX card_order_citizen ON cards.card_order (citizen_id);

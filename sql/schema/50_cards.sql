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
    -- the one person for whom alone its holder acts with it; NULL: the holder's own card
    represents uuid,
    -- its life is not over, so it may still expire; kept true to its stage in the first database
    live boolean NOT NULL DEFAULT TRUE,
    -- its PIN is the one that its printed number tells: what is signed after it proves nothing
    pin_is_transport boolean NOT NULL DEFAULT FALSE CHECK (NOT pin_is_transport OR medium = 1),
    CONSTRAINT only_a_chip_has_a_pin CHECK (
        (medium = 1) = (public_key_pin IS NOT NULL)
        AND (medium = 1) = (certificate_tap IS NOT NULL)
        AND (medium = 1) = (certificate_pin IS NOT NULL)
    )
);

CREATE INDEX card_holder ON cards.card (holder_id);
-- What is to expire, and whom a renewal campaign is for.
CREATE INDEX card_live ON cards.card (valid_to, card_id) WHERE live;

-- What a card with a transport PIN has to sign after its holder set one of their own: 32 random
-- bytes, the last that were asked for. Only in the first database.
CREATE TABLE cards.pin_challenge (
    card_id uuid PRIMARY KEY REFERENCES cards.card,
    challenge bytea NOT NULL CHECK (length(challenge) = 32),
    made_at timestamptz NOT NULL
);

CREATE TABLE cards.station (
    station_id text PRIMARY KEY CHECK (station_id ~ '^[A-Za-z0-9-]{1,32}$'),
    token_sha256 bytea NOT NULL CHECK (length(token_sha256) = 32),
    active boolean NOT NULL DEFAULT TRUE,
    -- it may order a card for who stands at its counter, without an application
    walk_in boolean NOT NULL DEFAULT TRUE
);

-- Where cards are handed over, and whom to call about one.
CREATE TABLE cards.delivery_point (
    point_id text PRIMARY KEY CHECK (point_id ~ '^[A-Za-z0-9-]{1,32}$'),
    region smallint NOT NULL REFERENCES regulations.region,
    name text NOT NULL CHECK (name <> ''),
    address text NOT NULL CHECK (address <> ''),
    phone text NOT NULL CHECK (phone <> ''),
    hours text NOT NULL CHECK (hours <> ''),
    -- how many days after a card was planned to be made it is there
    delivery_days smallint NOT NULL CHECK (delivery_days BETWEEN 0 AND 60),
    -- most orders planned for one day
    daily_max integer NOT NULL CHECK (daily_max BETWEEN 1 AND 100000),
    active boolean NOT NULL DEFAULT TRUE
);

-- How many orders are planned for a day and a point: what throttles approvals.
CREATE TABLE cards.day_plan (
    planned_on date NOT NULL,
    point_id text NOT NULL REFERENCES cards.delivery_point,
    orders integer NOT NULL CHECK (orders > 0),
    PRIMARY KEY (planned_on, point_id)
);

-- Orders of one delivery point, made at one station.
CREATE TABLE cards.batch (
    batch_id uuid PRIMARY KEY,
    -- what people say
    number integer GENERATED ALWAYS AS IDENTITY UNIQUE,
    point_id text NOT NULL REFERENCES cards.delivery_point,
    planned_on date NOT NULL,
    -- NULL: any station may take it
    station_id text REFERENCES cards.station
);

CREATE INDEX batch_free ON cards.batch (planned_on, number) WHERE station_id IS NULL;
CREATE INDEX batch_station ON cards.batch (station_id, number) WHERE station_id IS NOT NULL;

-- What happened to each batch: made, taken by a station, taken back. Append-only.
CREATE TABLE cards.batch_step (
    batch_id uuid NOT NULL REFERENCES cards.batch,
    number integer NOT NULL CHECK (number > 0),
    step text NOT NULL CHECK (step IN ('made', 'taken', 'taken_back')),
    station_id text,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    made_by text NOT NULL CHECK (made_by <> ''),
    reason text NOT NULL,
    PRIMARY KEY (batch_id, number)
);

CREATE TABLE cards.card_order (
    order_id uuid PRIMARY KEY,
    citizen_id uuid NOT NULL,
    -- what the card is printed from
    register_version integer NOT NULL,
    -- who makes it; NULL: in a batch that no station has taken, or in none yet
    station_id text REFERENCES cards.station,
    card_id uuid NOT NULL UNIQUE,
    card_number text NOT NULL UNIQUE,
    issuer_region smallint NOT NULL,
    valid_to date NOT NULL,
    -- signed by the new card's key in slot 9E when the station reports it: 32 random bytes
    challenge bytea NOT NULL CHECK (length(challenge) = 32),
    -- 1 ordered, 2 issued, 3 given up
    state smallint NOT NULL CHECK (state BETWEEN 1 AND 3),
    ordered_at timestamptz NOT NULL,
    issued_at timestamptz,
    issued_on date,
    -- as in cards.card
    represents uuid,
    -- where the card is handed over; NULL: at once, at the counter where it is written
    point_id text REFERENCES cards.delivery_point,
    batch_id uuid REFERENCES cards.batch,
    planned_on date,
    -- when the card is at its point, as far as was known when it was approved
    expected_on date,
    -- the order made in the place of this one
    remade_as uuid UNIQUE REFERENCES cards.card_order,
    -- how many blanks were spoiled for this card before
    spoiled_before smallint NOT NULL DEFAULT 0,
    CONSTRAINT planned_for_a_point CHECK (
        (point_id IS NULL) = (planned_on IS NULL) AND (point_id IS NULL) = (expected_on IS NULL)
        AND (batch_id IS NULL OR point_id IS NOT NULL)
    ),
    CONSTRAINT made_somewhere CHECK (point_id IS NOT NULL OR station_id IS NOT NULL),
    CONSTRAINT given_up_before_remade CHECK (remade_as IS NULL OR state = 3)
);

CREATE INDEX card_order_citizen ON cards.card_order (citizen_id);
-- A batch's orders, page by page; what is still open leads to a batch that is still to be made.
CREATE INDEX card_order_batch ON cards.card_order (batch_id, order_id) INCLUDE (state)
WHERE batch_id IS NOT NULL;
CREATE INDEX card_order_batch_open ON cards.card_order (batch_id) WHERE state = 1;
CREATE INDEX card_order_station_open ON cards.card_order (station_id, ordered_at, order_id)
WHERE state = 1;
CREATE INDEX card_order_issued ON cards.card_order (station_id, issued_on) WHERE state = 2;
CREATE INDEX card_order_unbatched ON cards.card_order (planned_on, point_id)
WHERE batch_id IS NULL AND state = 1 AND point_id IS NOT NULL;

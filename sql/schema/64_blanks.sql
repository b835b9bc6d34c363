-- Blank cards: what came, where it went, what was counted. Only in the first database.

CREATE TABLE cards.blank_lot (
    lot text PRIMARY KEY CHECK (lot ~ '^[A-Za-z0-9./-]{1,64}$'),
    -- a card family of the station, as yubico or openfips201
    family text NOT NULL CHECK (family <> ''),
    received_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Every movement of blanks. Append-only: a mistake is mended by another movement.
CREATE TABLE cards.blank_move (
    move_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- 1 received into the store, 2 given to a station, 3 returned to the store, 4 spoiled at a
    -- station, 5 destroyed in the store
    kind smallint NOT NULL CHECK (kind BETWEEN 1 AND 5),
    -- spoiled blanks lie on one pile, whatever their lot
    lot text REFERENCES cards.blank_lot,
    station_id text REFERENCES cards.station,
    blanks integer NOT NULL CHECK (blanks > 0),
    moved_on date NOT NULL,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    made_by text NOT NULL CHECK (made_by <> ''),
    reason text NOT NULL,
    -- the order that a blank was spoiled for
    order_id uuid UNIQUE REFERENCES cards.card_order,
    CONSTRAINT of_a_lot CHECK ((kind = 4) = (lot IS NULL)),
    CONSTRAINT at_a_station CHECK ((kind IN (2, 3, 4)) = (station_id IS NOT NULL))
);

CREATE INDEX blank_move_lot ON cards.blank_move (lot) WHERE lot IS NOT NULL;
CREATE INDEX blank_move_station ON cards.blank_move (station_id, moved_on)
WHERE station_id IS NOT NULL;

-- What was counted at a station at the end of a day, beside what there had to be. Append-only; of
-- several counts of one day the last one stands.
CREATE TABLE cards.blank_count (
    station_id text NOT NULL REFERENCES cards.station,
    counted_on date NOT NULL,
    number integer NOT NULL CHECK (number > 0),
    -- left at the count before this day, and what came and went since
    opening integer NOT NULL,
    given integer NOT NULL,
    returned integer NOT NULL,
    good integer NOT NULL,
    spoiled integer NOT NULL,
    counted_left integer NOT NULL CHECK (counted_left >= 0),
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    made_by text NOT NULL CHECK (made_by <> ''),
    -- blanks in = good + spoiled + left; anything but 0 is an alarm
    missing integer GENERATED ALWAYS AS (
        opening + given - returned - good - spoiled - counted_left
    ) STORED,
    PRIMARY KEY (station_id, counted_on, number)
);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON cards.blank_move
FOR EACH ROW EXECUTE FUNCTION journal.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON cards.blank_count
FOR EACH ROW EXECUTE FUNCTION journal.refuse_change();

GRANT SELECT, INSERT ON cards.blank_lot, cards.blank_move, cards.blank_count TO spk_issuing;
GRANT SELECT ON cards.blank_lot, cards.blank_move, cards.blank_count TO spk_operator;

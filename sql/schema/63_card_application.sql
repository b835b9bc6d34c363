-- Whom the issuing office still owes a card. References to persons, no copies. Only in the first
-- database.
CREATE TABLE cards.application (
    application_id uuid PRIMARY KEY,
    citizen_id uuid NOT NULL,
    -- the card that was lost
    replaces uuid NOT NULL REFERENCES cards.card,
    -- 1 waiting for a station, 2 ordered by one, 3 the card was issued, 4 withdrawn
    state smallint NOT NULL CHECK (state BETWEEN 1 AND 4),
    applied_at timestamptz NOT NULL,
    applied_by text NOT NULL CHECK (applied_by <> ''),
    reason text NOT NULL CHECK (reason <> ''),
    order_id uuid REFERENCES cards.card_order,
    CHECK ((state IN (2, 3)) = (order_id IS NOT NULL))
);

-- Nobody waits for two.
CREATE UNIQUE INDEX application_open ON cards.application (citizen_id) WHERE state IN (1, 2);

GRANT SELECT, INSERT, UPDATE ON cards.application TO spk_issuing;
GRANT SELECT, UPDATE (state) ON cards.application TO spk_operator;

-- Who asked for a card, who approved it, what became of it. References to persons, no copies. Only
-- in the first database.
CREATE TABLE cards.application (
    application_id uuid PRIMARY KEY,
    -- what people say
    number bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    -- 1 first card, 2 replacement, 3 additional card for a representative, 4 renewal
    kind smallint NOT NULL CHECK (kind BETWEEN 1 AND 4),
    -- the card's holder
    citizen_id uuid NOT NULL,
    -- as in cards.card
    represents uuid CHECK (represents <> citizen_id),
    -- the card whose place the new one takes
    replaces uuid REFERENCES cards.card,
    -- NULL: not said yet, as of a lost card
    point_id text REFERENCES cards.delivery_point,
    -- 1 waits for approval, 2 ordered, 3 handed over, 4 withdrawn, 5 refused
    state smallint NOT NULL CHECK (state BETWEEN 1 AND 5),
    applied_at timestamptz NOT NULL,
    applied_by text NOT NULL CHECK (applied_by <> ''),
    reason text NOT NULL CHECK (reason <> ''),
    decided_at timestamptz,
    decided_by text CHECK (decided_by <> ''),
    -- why it was refused
    decision_reason text CHECK (decision_reason <> ''),
    order_id uuid REFERENCES cards.card_order,
    CONSTRAINT replaces_a_card CHECK ((kind IN (2, 4)) = (replaces IS NOT NULL)),
    CONSTRAINT represents_somebody CHECK (kind <> 3 OR represents IS NOT NULL),
    CONSTRAINT ordered_by_an_order CHECK ((state IN (2, 3)) = (order_id IS NOT NULL)),
    CONSTRAINT refused_for_a_reason CHECK ((state = 5) = (decision_reason IS NOT NULL)),
    CONSTRAINT decided_at_once CHECK ((decided_by IS NULL) = (decided_at IS NULL)),
    -- NULL at the counter, where the station's right approves
    CONSTRAINT another_person_approves
    CHECK (state NOT IN (2, 3) OR lower(decided_by) <> lower(applied_by))
);

-- Nobody waits for two cards of one purpose.
CREATE UNIQUE INDEX application_open
ON cards.application (citizen_id, coalesce(represents, citizen_id)) WHERE state IN (1, 2);
CREATE INDEX application_citizen ON cards.application (citizen_id);
CREATE INDEX application_order ON cards.application (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX application_replaces ON cards.application (replaces) WHERE replaces IS NOT NULL;
-- The lists, newest first.
CREATE INDEX application_state ON cards.application (state, number);
CREATE INDEX application_point ON cards.application (point_id, number);

GRANT SELECT, INSERT, UPDATE ON cards.application TO spk_issuing;
GRANT SELECT, UPDATE (state) ON cards.application TO spk_operator;

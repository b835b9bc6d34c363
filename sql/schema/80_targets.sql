-- Which of the centre's databases this is, and whose rows it may hold. A database that serves
-- alone serves every bucket; rights.assign_target makes it one of several.
CREATE TABLE rights.target (
    only_row boolean PRIMARY KEY DEFAULT TRUE CHECK (only_row),
    -- its lanes of the journal are those from (target - 1) * 1024 + 1 to target * 1024
    target smallint NOT NULL CHECK (target BETWEEN 1 AND 31),
    -- how many databases there are; the first of them keeps register, orders and stations
    targets smallint NOT NULL CHECK (targets BETWEEN 1 AND 31),
    first_bucket smallint NOT NULL,
    last_bucket smallint NOT NULL,
    CHECK (0 <= first_bucket AND first_bucket <= last_bucket AND last_bucket <= 1023)
);

INSERT INTO rights.target (target, targets, first_bucket, last_bucket) VALUES (1, 1, 0, 1023);

GRANT USAGE ON SCHEMA rights TO spk_finance, spk_exchange;
GRANT SELECT ON rights.target
TO spk_processing, spk_register, spk_issuing, spk_operator, spk_finance, spk_exchange;

-- A card of which the other databases do not know the latest. Written with the change itself and
-- taken away when they have it: a change may be told late, but is never forgotten.
CREATE TABLE cards.delivery (
    card_id uuid PRIMARY KEY REFERENCES cards.card,
    version integer NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- For whom a card may act whose rights lie in other databases: what is delivered there.
CREATE TABLE cards.authority_elsewhere (
    card_id uuid NOT NULL REFERENCES cards.card,
    bucket smallint NOT NULL,
    holder_id uuid NOT NULL,
    -- as in rights.card_authority
    scope text[],
    valid_from date NOT NULL,
    valid_to date NOT NULL,
    PRIMARY KEY (card_id, bucket, holder_id)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON cards.delivery TO spk_issuing, spk_operator;
GRANT SELECT, INSERT ON cards.authority_elsewhere TO spk_issuing;
GRANT SELECT ON cards.delivery TO spk_processing;

-- A terminal's number that was decided in two databases. One database would have refused the
-- second at once; `spk journal audit-keys` finds it afterwards, for settlement.
CREATE TABLE journal.key_conflict (
    business_date date NOT NULL,
    terminal_id text NOT NULL,
    stan integer NOT NULL,
    message_class smallint NOT NULL,
    -- the decisions, by target: their places in the journal and their outcomes
    lanes smallint[] NOT NULL,
    blocks bigint[] NOT NULL,
    ordinals smallint[] NOT NULL,
    outcomes smallint[] NOT NULL,
    found_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (business_date, terminal_id, stan, message_class)
);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON journal.key_conflict
FOR EACH ROW EXECUTE FUNCTION journal.refuse_change();

GRANT SELECT ON journal.key_conflict TO spk_operator;
GRANT SELECT ON journal.key_conflict TO spk_finance;

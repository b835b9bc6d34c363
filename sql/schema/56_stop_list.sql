-- The stop-lists that were issued, newest of each kind last. Files older than the newest complete
-- list are of no use to anybody and are taken away when the next one comes.
CREATE TABLE cards.stop_list (
    number integer PRIMARY KEY CHECK (number > 0),
    -- the complete list that an incremental one builds on; a complete one builds on itself
    base integer NOT NULL CHECK (base BETWEEN 1 AND number),
    issued_at timestamptz NOT NULL,
    -- cards stopped in all when it was issued
    stopped integer NOT NULL CHECK (stopped >= 0),
    -- the signed file (processing.wire.stop_list)
    body bytea NOT NULL
);

-- The cards in the newest complete list: what an increment is counted from.
CREATE TABLE cards.stop_list_member (
    card_id uuid PRIMARY KEY
);

GRANT SELECT, INSERT, DELETE ON cards.stop_list, cards.stop_list_member TO spk_issuing;
GRANT SELECT ON cards.stop_list TO spk_operator;

-- The life of a card, from a blank in the stock until it is destroyed. Only in the first database.

-- The stages. processing.cards.life has the same list; a test holds both equal.
CREATE TABLE cards.stage (
    stage smallint PRIMARY KEY,
    name text NOT NULL UNIQUE,
    -- what the engine sees of a card in this stage (cards.card.state); NULL: what it saw before
    state smallint CHECK (state BETWEEN 1 AND 3)
);

INSERT INTO cards.stage (stage, name, state) VALUES
(1, 'stock', NULL),
(2, 'keyed', NULL),
(3, 'loaded', NULL),
(4, 'locked', NULL),
(5, 'verified', NULL),
(6, 'issued', 2),
(7, 'active', 1),
(8, 'suspended', 2),
(9, 'replaced', 3),
(10, 'revoked', 2),
(11, 'expired', 2),
(12, 'destroyed', NULL);

-- Which role has which right: who may do something is a matter of the login, not of the program.
CREATE TABLE cards.right_of_role (
    right_name text NOT NULL CHECK (right_name ~ '^cards[.][a-z_]+$'),
    role_name text NOT NULL,
    PRIMARY KEY (right_name, role_name)
);

INSERT INTO cards.right_of_role (right_name, role_name) VALUES
('cards.apply', 'spk_issuing'),
('cards.approve', 'spk_issuing'),
('cards.walk_in', 'spk_issuing'),
('cards.batch', 'spk_issuing'),
('cards.count_blanks', 'spk_issuing'),
('cards.write', 'spk_issuing'),
('cards.issue', 'spk_issuing'),
('cards.hand_over', 'spk_issuing'),
('cards.suspend', 'spk_issuing'),
('cards.suspend', 'spk_operator'),
('cards.restore', 'spk_operator'),
('cards.replace', 'spk_issuing'),
('cards.revoke', 'spk_issuing'),
('cards.revoke', 'spk_operator'),
('cards.expire', 'spk_issuing'),
('cards.destroy', 'spk_issuing'),
('cards.destroy', 'spk_operator');

-- The legal transitions, and the right that each needs; every other is refused.
-- processing.cards.life has the same list; a test holds both equal.
CREATE TABLE cards.transition_rule (
    -- 1 a chip card, 2 a temporary card: a code on paper
    medium smallint NOT NULL CHECK (medium IN (1, 2)),
    from_stage smallint NOT NULL REFERENCES cards.stage,
    to_stage smallint NOT NULL REFERENCES cards.stage,
    right_name text NOT NULL,
    PRIMARY KEY (medium, from_stage, to_stage)
);

INSERT INTO cards.transition_rule (medium, from_stage, to_stage, right_name) VALUES
(1, 1, 2, 'cards.write'),
(1, 2, 3, 'cards.write'),
(1, 3, 4, 'cards.write'),
(1, 4, 5, 'cards.write'),
(1, 5, 6, 'cards.issue'),
(1, 6, 7, 'cards.hand_over'),
-- spoiled while it was written
(1, 1, 12, 'cards.write'),
(1, 2, 12, 'cards.write'),
(1, 3, 12, 'cards.write'),
(1, 4, 12, 'cards.write'),
(1, 5, 12, 'cards.write'),
(1, 6, 10, 'cards.revoke'),
(1, 6, 11, 'cards.expire'),
(1, 7, 8, 'cards.suspend'),
(1, 7, 9, 'cards.replace'),
(1, 7, 10, 'cards.revoke'),
(1, 7, 11, 'cards.expire'),
(1, 8, 7, 'cards.restore'),
(1, 8, 9, 'cards.replace'),
(1, 8, 10, 'cards.revoke'),
(1, 8, 11, 'cards.expire'),
(1, 9, 12, 'cards.destroy'),
(1, 10, 12, 'cards.destroy'),
(1, 11, 12, 'cards.destroy'),
(2, 1, 7, 'cards.issue'),
(2, 7, 8, 'cards.suspend'),
(2, 7, 9, 'cards.replace'),
(2, 7, 10, 'cards.revoke'),
(2, 7, 11, 'cards.expire'),
(2, 8, 7, 'cards.restore'),
(2, 8, 9, 'cards.replace'),
(2, 8, 10, 'cards.revoke'),
(2, 8, 11, 'cards.expire');

-- What happened to each card: append-only. A card's stage is the last row's.
CREATE TABLE cards.transition (
    card_id uuid NOT NULL,
    -- 1, 2, 3 … for each card
    number integer NOT NULL CHECK (number > 0),
    from_stage smallint NOT NULL REFERENCES cards.stage,
    to_stage smallint NOT NULL REFERENCES cards.stage,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- a person, a station ("station office-1") or a task of the centre ("centre …")
    made_by text NOT NULL CHECK (made_by <> ''),
    -- the database role that the right came from
    made_as text NOT NULL DEFAULT current_user,
    reason text NOT NULL CHECK (reason <> ''),
    PRIMARY KEY (card_id, number)
);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON cards.transition
FOR EACH ROW EXECUTE FUNCTION journal.refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON cards.transition
FOR EACH STATEMENT EXECUTE FUNCTION journal.refuse_change();

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON cards.batch_step
FOR EACH ROW EXECUTE FUNCTION journal.refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON cards.batch_step
FOR EACH STATEMENT EXECUTE FUNCTION journal.refuse_change();

-- Where a card's life is written down, its state may be only what its stage says: whoever goes
-- round cards.move_card changes nothing. Copies in other databases have no life there.
CREATE FUNCTION cards.state_follows_stage() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    latest smallint;
    expected smallint;
BEGIN
    SELECT t.to_stage INTO latest
    FROM cards.transition AS t WHERE t.card_id = new.card_id
    ORDER BY t.number DESC LIMIT 1;
    IF NOT FOUND THEN
        RETURN new;
    END IF;
    SELECT s.state INTO expected FROM cards.stage AS s WHERE s.stage = latest;
    IF expected IS DISTINCT FROM new.state AND old.state <> new.state THEN
        RAISE EXCEPTION 'card % is in stage %, so its state cannot become %',
            new.card_id, latest, new.state;
    END IF;
    new.live := latest < 9;
    RETURN new;
END
$$;

CREATE TRIGGER state_follows_stage BEFORE UPDATE OF state ON cards.card
FOR EACH ROW EXECUTE FUNCTION cards.state_follows_stage();

GRANT SELECT ON cards.stage, cards.right_of_role, cards.transition_rule
TO spk_issuing, spk_operator;
GRANT SELECT, INSERT ON cards.transition TO spk_issuing, spk_operator;
GRANT SELECT, INSERT, UPDATE ON cards.delivery_point, cards.day_plan TO spk_issuing;
GRANT SELECT, INSERT ON cards.batch, cards.batch_step TO spk_issuing;
GRANT UPDATE (station_id) ON cards.batch TO spk_issuing;
-- A card that is not written yet has its holder in its order.
GRANT SELECT (order_id, card_id, citizen_id, state) ON cards.card_order TO spk_operator;

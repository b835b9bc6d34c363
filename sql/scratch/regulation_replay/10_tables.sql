-- The workshop of a replay (processing/regulations/replay.py). It is run in a scratch database,
-- never in the centre's own: a migrated, empty one, into which the centre's regulations, rights and
-- past transactions are copied and which is dropped afterwards.
CREATE SCHEMA replay;

-- What a crash loses here is lost anyway.
ALTER TABLE rights.allowance SET UNLOGGED;
ALTER TABLE rights.card_authority SET UNLOGGED;
ALTER TABLE rights.counter SET UNLOGGED;
ALTER TABLE rights.reservation SET UNLOGGED;
ALTER TABLE journal.block SET UNLOGGED;
ALTER TABLE journal.child SET UNLOGGED;
-- Indexes that no decision needs.
DROP INDEX journal.event_place;
DROP INDEX journal.event_posting;

-- Of the period: the service's transactions as they were decided; nothing of it is changed.
CREATE UNLOGGED TABLE replay.taken (LIKE journal.event);
CREATE UNLOGGED TABLE replay.taken_line (LIKE journal.line);
CREATE UNLOGGED TABLE replay.taken_child (LIKE journal.child);

-- What other services took in the period from allowances that this one draws on, in the order of
-- decision; negative: gave back.
CREATE UNLOGGED TABLE replay.elsewhere (
    decided_at timestamptz NOT NULL,
    lane smallint NOT NULL,
    block bigint NOT NULL,
    ordinal smallint NOT NULL,
    posting_date date NOT NULL,
    bucket smallint NOT NULL,
    holder_id uuid NOT NULL,
    allowance_id uuid NOT NULL,
    period_start date NOT NULL,
    debited bigint NOT NULL
);

-- What the replay goes through, in order: transactions to be decided anew; those carried over as
-- they were, since no regulation decided them; ends of reservations; what other services took.
CREATE UNLOGGED TABLE replay.step (
    n integer NOT NULL,
    -- 1 decide anew, 2 carry over, 3 an expiry, 4 another service's debit
    task smallint NOT NULL,
    -- whether a batch has to begin here
    cuts boolean NOT NULL,
    -- this step is not to be in one batch with that one
    after_n integer,
    bucket smallint NOT NULL,
    business_date date,
    terminal_id text,
    stan integer,
    message_class smallint,
    assigned smallint,
    kind smallint,
    advice boolean,
    evidence smallint,
    card_id uuid,
    holder_id uuid NOT NULL,
    parent_business_date date,
    parent_terminal_id text,
    parent_stan integer,
    parent_message_class smallint,
    signed_at timestamptz,
    local_date date,
    posting_date date,
    decided_at timestamptz NOT NULL,
    request_digest bytea,
    request bytea,
    outcome smallint,
    covered_kopecks bigint[],
    paid_kopecks bigint[],
    facts jsonb,
    allowance_id uuid,
    period_start date,
    debited bigint
);

-- The lines of what is decided anew, as they were asked for.
CREATE UNLOGGED TABLE replay.asked (
    n integer NOT NULL,
    line_no smallint NOT NULL,
    item text NOT NULL,
    quantity bigint NOT NULL,
    unit_okei smallint NOT NULL,
    scale smallint NOT NULL,
    gross_kopecks bigint NOT NULL
);

CREATE UNLOGGED TABLE replay.batch (
    batch_no integer NOT NULL,
    first_n integer NOT NULL,
    last_n integer NOT NULL
);

-- What the engine decided under the draft; a step that was carried over has no row.
CREATE UNLOGGED TABLE replay.result (
    n integer NOT NULL,
    batch_no integer NOT NULL,
    place smallint,
    outcome smallint NOT NULL,
    covered_kopecks bigint[],
    facts jsonb
);

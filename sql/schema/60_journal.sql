-- One lane per worker process at a time; a lane's blocks are numbered without gaps.
CREATE TABLE journal.block (
    lane smallint NOT NULL,
    block bigint NOT NULL,
    leaf_count smallint NOT NULL,
    decided_at timestamptz NOT NULL,
    PRIMARY KEY (lane, block),
    CHECK (least(lane, block, leaf_count) > 0)
);

-- Every decision, as it was asked for and as it was answered.
CREATE TABLE journal.event (
    bucket smallint NOT NULL,
    business_date date NOT NULL,
    terminal_id text NOT NULL,
    stan integer NOT NULL,
    -- 1 authorization, 2 financial, 4 reversal; 9 the centre's own: expiry
    message_class smallint NOT NULL,
    -- 0 the terminal's own key; above 0 assigned by the centre to an advice whose key was taken
    assigned smallint NOT NULL DEFAULT 0,
    lane smallint NOT NULL,
    block bigint NOT NULL,
    ordinal smallint NOT NULL,
    kind smallint NOT NULL,
    advice boolean NOT NULL,
    evidence smallint NOT NULL,
    card_id uuid NOT NULL,
    holder_id uuid NOT NULL,
    service text NOT NULL,
    service_version integer NOT NULL,
    parent_business_date date,
    parent_terminal_id text,
    parent_stan integer,
    parent_message_class smallint,
    signed_at timestamptz NOT NULL,
    -- the rights holder's region: drives allowance periods
    local_date date NOT NULL,
    -- the centre's: drives totals and statements
    posting_date date NOT NULL,
    decided_at timestamptz NOT NULL,
    -- digest v1 of the request; of a key closed by a reversal that came first, 32 zero bytes
    request_digest bytea NOT NULL,
    -- the bytes the card signed, and its signature
    request bytea NOT NULL,
    signature bytea NOT NULL,
    outcome smallint NOT NULL,
    approval_code text NOT NULL,
    -- covered and paid kopecks of each line as answered; NULL when declined
    covered_kopecks bigint[],
    paid_kopecks bigint[],
    -- what decided, for refusals and conflicts
    facts jsonb,
    PRIMARY KEY (business_date, terminal_id, stan, message_class, assigned)
) PARTITION BY RANGE (business_date);

CREATE INDEX event_place ON journal.event (lane, block, ordinal);

CREATE INDEX event_posting ON journal.event (posting_date, terminal_id);

-- What nobody came for: few among all events.
CREATE INDEX event_expiry ON journal.event (posting_date) WHERE message_class = 9;

-- A part of a line: what one allowance covered of it. A line covered by two allowances has two
-- parts; what no allowance covers stands in a part without one. The parts of what takes back
-- (reversal, return, expiry) are negative. A completion has parts of its own and, numbered below
-- zero, those that give back what the reservation held, without any price.
CREATE TABLE journal.line (
    bucket smallint NOT NULL,
    business_date date NOT NULL,
    terminal_id text NOT NULL,
    stan integer NOT NULL,
    message_class smallint NOT NULL,
    assigned smallint NOT NULL DEFAULT 0,
    line_no smallint NOT NULL,
    part smallint NOT NULL,
    item text NOT NULL,
    quantity bigint NOT NULL,
    gross_kopecks bigint NOT NULL,
    covered_kopecks bigint NOT NULL,
    paid_kopecks bigint NOT NULL,
    -- the debit, in the allowance's own unit
    allowance_id uuid,
    period_start date,
    debited bigint NOT NULL,
    -- taken offline beyond what was left: for settlement, never in the counter
    excess bigint NOT NULL DEFAULT 0,
    entitlement_id uuid,
    measure text,
    category text,
    funding text,
    tariff text,
    PRIMARY KEY (business_date, terminal_id, stan, message_class, assigned, line_no, part),
    CONSTRAINT line_adds_up CHECK (
        gross_kopecks = covered_kopecks + paid_kopecks
        AND (allowance_id IS NOT NULL OR debited = 0)
    )
) PARTITION BY RANGE (business_date);

-- What happened to a transaction afterwards, numbered: completion, expiry and reversal of a
-- reservation; returns of a sale or completion, their reversals, and its own. Whoever comes second
-- meets the first here: it waits or is tried again, and then decides on what the first left.
CREATE TABLE journal.child (
    bucket smallint NOT NULL,
    -- the transaction it happened to
    business_date date NOT NULL,
    terminal_id text NOT NULL,
    stan integer NOT NULL,
    message_class smallint NOT NULL,
    assigned smallint NOT NULL,
    child_no smallint NOT NULL,
    -- of the child's event
    kind smallint NOT NULL,
    -- of a reversal: the number of the child it takes back, 0 for the transaction itself
    undoes smallint,
    child_business_date date NOT NULL,
    child_terminal_id text NOT NULL,
    child_stan integer NOT NULL,
    child_message_class smallint NOT NULL,
    child_assigned smallint NOT NULL,
    PRIMARY KEY (business_date, terminal_id, stan, message_class, assigned, child_no),
    CONSTRAINT child_key UNIQUE (
        child_business_date, child_terminal_id, child_stan, child_message_class, child_assigned
    )
);

CREATE TABLE journal.event_other PARTITION OF journal.event DEFAULT;
CREATE TABLE journal.line_other PARTITION OF journal.line DEFAULT;

CREATE FUNCTION journal.refuse_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the journal is append-only: % on %.% refused',
        tg_op, tg_table_schema, tg_table_name USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON journal.event
FOR EACH ROW EXECUTE FUNCTION journal.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON journal.line
FOR EACH ROW EXECUTE FUNCTION journal.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON journal.block
FOR EACH ROW EXECUTE FUNCTION journal.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON journal.child
FOR EACH ROW EXECUTE FUNCTION journal.refuse_change();

-- A partition has a trigger of its own against TRUNCATE (journal.ensure_partitions).
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON journal.event
FOR EACH STATEMENT EXECUTE FUNCTION journal.refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON journal.event_other
FOR EACH STATEMENT EXECUTE FUNCTION journal.refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON journal.line
FOR EACH STATEMENT EXECUTE FUNCTION journal.refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON journal.line_other
FOR EACH STATEMENT EXECUTE FUNCTION journal.refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON journal.block
FOR EACH STATEMENT EXECUTE FUNCTION journal.refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON journal.child
FOR EACH STATEMENT EXECUTE FUNCTION journal.refuse_change();

-- What a terminal counted for a business day (0500), beside what the centre counted then.
CREATE TABLE reconciliation.terminal_totals (
    terminal_id text NOT NULL REFERENCES terminals.terminal,
    business_date date NOT NULL,
    stan integer NOT NULL,
    received_at timestamptz NOT NULL,
    terminal_approved_count bigint NOT NULL,
    terminal_gross_kopecks bigint NOT NULL,
    terminal_covered_kopecks bigint NOT NULL,
    terminal_paid_kopecks bigint NOT NULL,
    terminal_reversed_count bigint NOT NULL,
    terminal_reversed_covered_kopecks bigint NOT NULL,
    terminal_returned_count bigint NOT NULL,
    terminal_returned_covered_kopecks bigint NOT NULL,
    centre_approved_count bigint NOT NULL,
    centre_gross_kopecks bigint NOT NULL,
    centre_covered_kopecks bigint NOT NULL,
    centre_paid_kopecks bigint NOT NULL,
    centre_reversed_count bigint NOT NULL,
    centre_reversed_covered_kopecks bigint NOT NULL,
    centre_returned_count bigint NOT NULL,
    centre_returned_covered_kopecks bigint NOT NULL,
    PRIMARY KEY (terminal_id, business_date, stan, received_at)
);

-- What a worker passes to engine.authorize, and what it gets back.

-- A batch as a worker passes it: an array for each column. Many short arrays cost less to send and
-- to read than one of rows.
CREATE TYPE engine.batch AS (
    -- an element for each request; its place is the request's ordinal, from 1
    bucket smallint [],
    business_date date [],
    terminal_id text [],
    stan integer [],
    message_class smallint [],
    kind smallint [],
    advice boolean [],
    evidence smallint [],
    -- what the worker found: 0 unsigned, 1 signature right, 2 card unknown, 3 wrong
    proof smallint [],
    card_id uuid [],
    holder_id uuid [],
    service text [],
    service_version integer [],
    -- NULL when no request has a parent
    parent_business_date date [],
    parent_terminal_id text [],
    parent_stan integer [],
    parent_message_class smallint [],
    signed_at_ms bigint [],
    -- one after another: the digest (32 bytes), the signature (64, or none), the request's bytes
    paper bytea [],
    signature_bytes smallint [],
    line_count smallint [],
    -- an element for each line: the ordinal of its request, and its number there, from 1
    line_ordinal smallint [],
    line_no smallint [],
    item text [],
    quantity bigint [],
    unit_okei smallint [],
    scale smallint [],
    gross_kopecks bigint []
);

-- One request of a batch, for what decides requests one after the other.
CREATE TYPE engine.request AS (
    -- position in the batch, from 1
    ordinal smallint,
    bucket smallint,
    business_date date,
    terminal_id text,
    stan integer,
    message_class smallint,
    -- 0 from the worker; engine.recall raises it for an advice whose key is taken
    assigned smallint,
    -- FALSE from the worker; engine.recall raises it for an advice whose key a reversal closed
    closed boolean,
    kind smallint,
    advice boolean,
    evidence smallint,
    -- what the worker found: 0 unsigned, 1 signature right, 2 card unknown, 3 wrong
    proof smallint,
    card_id uuid,
    holder_id uuid,
    service text,
    service_version integer,
    parent_business_date date,
    parent_terminal_id text,
    parent_stan integer,
    parent_message_class smallint,
    signed_at timestamptz,
    request_digest bytea,
    request bytea,
    signature bytea
);

CREATE TYPE engine.line AS (
    -- the request it belongs to, and its number there, both from 1
    ordinal smallint,
    line_no smallint,
    item text,
    quantity bigint,
    unit_okei smallint,
    scale smallint,
    gross_kopecks bigint
);

-- The outcome of one request, and the claim (of engine.claims) whose facts explain a refusal.
CREATE TYPE engine.ruling AS (
    ordinal smallint,
    outcome smallint,
    -- what the outcome would be of a request that had not happened yet: the reason of a conflict
    reason smallint,
    claim_no integer,
    remaining bigint
);

-- A part of a line: what one claim covers of it or, of the last part, what none does.
CREATE TYPE engine.part AS (
    claim_no integer,
    part smallint,
    quantity bigint,
    -- the price of the line's parts before it
    gross_before_kopecks bigint,
    gross_kopecks bigint,
    debited bigint,
    excess bigint,
    -- what is left of the allowance
    remaining bigint
);

CREATE TYPE engine.balance AS (
    item_class text,
    unit_okei smallint,
    scale smallint,
    granted bigint,
    remaining bigint,
    percent smallint,
    valid_to date
);

CREATE TYPE engine.answer AS (
    ordinal smallint,
    replayed boolean,
    outcome smallint,
    -- NULL from here on to the kopecks: the key belongs to another request
    approval_code text,
    -- these four only of a replay: what is decided now is told by the caller's own arguments
    posting_date date,
    decided_at timestamptz,
    lane smallint,
    block bigint,
    place smallint,
    covered_kopecks bigint [],
    paid_kopecks bigint [],
    facts jsonb,
    balances engine.balance []
);

-- A request after the look into the journal: with its answer, or still to be decided.
CREATE TYPE engine.recalled AS (
    request engine.request,
    answer engine.answer
);

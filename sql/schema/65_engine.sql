-- What a worker passes to engine.authorize, and what it gets back.

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

-- A request with the facts that decide it, before allowances are looked at.
CREATE TYPE engine.judgement AS (
    ordinal smallint,
    bucket smallint,
    holder_id uuid,
    service text,
    service_version integer,
    local_date date,
    -- what a line takes from an allowance (regulations.service); NULL: nothing, as in an inquiry
    consumes smallint,
    -- when the allowance is short: 1 refuse, 2 cover what is left, 3 record the excess (advice)
    mode smallint,
    refusal smallint,
    facts jsonb
);

-- What one line asks of one allowance. A line has a claim for each allowance it may draw on, in
-- order of use; a line that none is open to, and a request without lines, has one claim without.
CREATE TYPE engine.claim AS (
    ordinal smallint,
    mode smallint,
    refusal smallint,
    line_no smallint,
    item text,
    item_class text,
    quantity bigint,
    gross_kopecks bigint,
    -- the item's own, which the line should have
    unit_okei smallint,
    scale smallint,
    -- whether the units of line, item and allowance differ, or the line's numbers make no sense
    malformed boolean,
    consumes smallint,
    -- what the line needs, in the allowance's unit
    need bigint,
    cap_kopecks bigint,
    percent smallint,
    tariff text,
    -- the same number for the same allowance and period, from 1
    slot integer,
    allowance_id uuid,
    period_start date,
    period_end date,
    entitlement_id uuid,
    measure text,
    category text,
    funding text,
    allowance_unit_okei smallint,
    allowance_scale smallint,
    granted bigint,
    -- what the allowance held before the batch
    remaining bigint,
    ends_line boolean,
    ends_request boolean
);

-- The outcome of one request, and the claim (by number) whose facts explain a refusal.
CREATE TYPE engine.ruling AS (
    ordinal smallint,
    outcome smallint,
    -- what the outcome would be of a request that had not happened yet: the reason of a conflict
    reason smallint,
    claim_no integer,
    remaining bigint
);

-- A part of a line as journal.line keeps it, with the balance that the answer shows.
CREATE TYPE engine.part AS (
    ordinal smallint,
    line_no smallint,
    part smallint,
    item text,
    quantity bigint,
    gross_kopecks bigint,
    covered_kopecks bigint,
    allowance_id uuid,
    period_start date,
    debited bigint,
    excess bigint,
    entitlement_id uuid,
    measure text,
    category text,
    funding text,
    tariff text,
    granted bigint,
    -- of the allowance, for the answer
    item_class text,
    unit_okei smallint,
    scale smallint,
    remaining bigint,
    percent smallint,
    period_end date
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

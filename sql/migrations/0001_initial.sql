-- The first schema. Frozen once released: changes come as new files beside it; sql/schema/ shows the sum.

-- 00_roles.sql
-- Roles are shared by all databases of one server, so each is made only once.
-- They cannot log in: a program's own login is granted the one role it needs.
DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY[
        'spk_owner', 'spk_processing', 'spk_register', 'spk_issuing', 'spk_finance', 'spk_operator'
    ] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.rolname = role_name) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
        END IF;
        EXECUTE format('GRANT %I TO CURRENT_USER', role_name);
    END LOOP;
    EXECUTE format('GRANT CREATE, CONNECT ON DATABASE %I TO spk_owner', current_database());
END
$$;

SET LOCAL ROLE spk_owner;

CREATE SCHEMA register;
CREATE SCHEMA rights;
CREATE SCHEMA regulations;
CREATE SCHEMA cards;
CREATE SCHEMA terminals;
CREATE SCHEMA journal;
CREATE SCHEMA engine;
CREATE SCHEMA reconciliation;

COMMENT ON SCHEMA register IS 'Personal data. Closed to the processing role.';
COMMENT ON SCHEMA rights IS 'Who may use what, led by the holder''s bucket. No personal data.';
COMMENT ON SCHEMA regulations IS 'Service regulations as rows, the same on every database target.';
COMMENT ON SCHEMA cards IS 'Cards, their orders and the stations that make them.';
COMMENT ON SCHEMA terminals IS 'Providers, their terminals and the services allowed there.';
COMMENT ON SCHEMA journal IS 'Append-only events: the truth from which balances can be rebuilt.';
COMMENT ON SCHEMA engine IS 'Functions that decide transactions.';
COMMENT ON SCHEMA reconciliation IS 'Totals and exports for finance.';

-- 10_regulations.sql
CREATE TABLE regulations.region (
    region smallint PRIMARY KEY CHECK (region BETWEEN 1 AND 99),
    time_zone text NOT NULL,
    name_ru text NOT NULL,
    name_en text NOT NULL
);

CREATE TABLE regulations.measure (
    measure text PRIMARY KEY,
    name_ru text NOT NULL,
    name_en text NOT NULL,
    -- federal, regional or municipal budget: who compensates the provider
    funding text NOT NULL CHECK (funding IN ('federal', 'regional', 'municipal', 'oms'))
);

CREATE TABLE regulations.service (
    service text NOT NULL CHECK (service ~ '^[A-Z0-9][A-Z0-9.-]{0,15}$'),
    version integer NOT NULL CHECK (version > 0),
    name_ru text NOT NULL,
    name_en text NOT NULL,
    -- what a line takes from an allowance: 1 its quantity, 2 the kopecks covered, 3 one per line
    consumes smallint NOT NULL CHECK (consumes IN (1, 2, 3)),
    -- when the allowance is short: 1 refuse the whole, 2 cover what is left
    shortage smallint NOT NULL CHECK (shortage IN (1, 2)),
    -- least evidence: 1 tap, 2 PIN (processing.wire.transaction.Evidence)
    evidence smallint NOT NULL CHECK (evidence IN (1, 2)),
    valid_from date NOT NULL,
    valid_to date NOT NULL,
    -- days after valid_to on which a request signed under this version is still honoured
    grace_days smallint NOT NULL DEFAULT 3 CHECK (grace_days BETWEEN 0 AND 31),
    -- how long a reservation stands, at most 31 days; NULL: the service takes none
    reserve_minutes integer CHECK (reserve_minutes BETWEEN 1 AND 44640),
    PRIMARY KEY (service, version),
    CHECK (valid_from <= valid_to)
);

CREATE TABLE regulations.price_rule (
    service text NOT NULL,
    version integer NOT NULL,
    measure text NOT NULL REFERENCES regulations.measure,
    percent smallint NOT NULL CHECK (percent BETWEEN 0 AND 100),
    -- whether the item's cap price limits what is covered
    capped boolean NOT NULL,
    tariff text NOT NULL,
    PRIMARY KEY (service, version, measure),
    FOREIGN KEY (service, version) REFERENCES regulations.service
);

CREATE TABLE regulations.provider_kind (
    kind text PRIMARY KEY CHECK (kind ~ '^[a-z]{1,16}$'),
    name_ru text NOT NULL,
    name_en text NOT NULL
);

INSERT INTO regulations.provider_kind (kind, name_ru, name_en) VALUES
('pharmacy', 'Аптека', 'Pharmacy'),
('clinic', 'Поликлиника', 'Clinic'),
('utility', 'Коммунальное предприятие', 'Utility company'),
('social', 'Социальная служба', 'Social service'),
('school', 'Школа', 'School');

-- Which measures a benefit category opens.
CREATE TABLE regulations.category_measure (
    category text NOT NULL,
    measure text NOT NULL REFERENCES regulations.measure,
    PRIMARY KEY (category, measure)
);

-- The document behind a version of a service, as it was proposed and approved. It is never edited:
-- a change, and a way back too, is a new version.
CREATE TABLE regulations.document (
    service text NOT NULL,
    version integer NOT NULL,
    -- the TOML text as the agency wrote it, and its SHA-256
    body bytea NOT NULL,
    body_sha256 bytea NOT NULL CHECK (body_sha256 = sha256(body)),
    valid_from date NOT NULL,
    proposed_by text NOT NULL CHECK (proposed_by <> ''),
    proposed_at timestamptz NOT NULL,
    approved_by text,
    approved_at timestamptz,
    PRIMARY KEY (service, version),
    CONSTRAINT another_person_approves CHECK (approved_by <> proposed_by),
    CHECK ((approved_by IS NULL) = (approved_at IS NULL))
);

CREATE TABLE regulations.item (
    item text PRIMARY KEY CHECK (item ~ '^[A-Za-z0-9][A-Za-z0-9./-]{0,19}$'),
    -- allowances are granted for a class; one item belongs to exactly one
    item_class text NOT NULL CHECK (item_class ~ '^[A-Za-z0-9][A-Za-z0-9./-]{0,19}$'),
    unit_okei smallint NOT NULL CHECK (unit_okei BETWEEN 1 AND 9999),
    scale smallint NOT NULL CHECK (scale BETWEEN 0 AND 6),
    -- highest price that is covered, in kopecks for 10^scale of the smallest unit; NULL: no cap
    cap_kopecks bigint CHECK (cap_kopecks >= 0),
    name_ru text NOT NULL,
    name_en text NOT NULL
);

-- A right that a regulation's test case gives its citizen (regulations.try_case).
CREATE TYPE regulations.trial_right AS (
    measure text,
    item_class text,
    unit_okei smallint,
    scale smallint,
    granted bigint,
    used bigint,
    period smallint,
    priority smallint
);

-- 20_register.sql
CREATE TABLE register.benefit_category (
    category text PRIMARY KEY,
    name_ru text NOT NULL,
    name_en text NOT NULL
);

CREATE TABLE register.citizen (
    citizen_id uuid PRIMARY KEY,
    snils text NOT NULL UNIQUE CHECK (snils ~ '^[0-9]{11}$'),
    enp text UNIQUE CHECK (enp ~ '^[0-9]{16}$'),
    inn text UNIQUE CHECK (inn ~ '^[0-9]{12}$'),
    last_name text NOT NULL,
    first_name text NOT NULL,
    patronymic text,
    birth_date date NOT NULL,
    sex character(1) NOT NULL CHECK (sex IN ('m', 'f')),
    region smallint NOT NULL REFERENCES regulations.region,
    -- rises with every change; others hold references to a version, never copies
    version integer NOT NULL DEFAULT 1 CHECK (version > 0)
);

CREATE INDEX citizen_name ON register.citizen (last_name, first_name, birth_date);

CREATE TABLE register.household (
    household_id uuid PRIMARY KEY,
    region smallint NOT NULL REFERENCES regulations.region,
    address text NOT NULL,
    version integer NOT NULL DEFAULT 1 CHECK (version > 0)
);

CREATE TABLE register.household_member (
    household_id uuid NOT NULL REFERENCES register.household,
    citizen_id uuid NOT NULL REFERENCES register.citizen,
    -- head, spouse, child, other
    relation text NOT NULL CHECK (relation IN ('head', 'spouse', 'child', 'other')),
    PRIMARY KEY (household_id, citizen_id)
);

CREATE INDEX household_member_citizen ON register.household_member (citizen_id);

CREATE TABLE register.personal_account (
    account_number text PRIMARY KEY CHECK (account_number ~ '^[0-9]{10}$'),
    household_id uuid NOT NULL REFERENCES register.household,
    provider_code text NOT NULL
);

CREATE INDEX personal_account_household ON register.personal_account (household_id);

CREATE TABLE register.citizen_category (
    citizen_id uuid NOT NULL REFERENCES register.citizen,
    category text NOT NULL REFERENCES register.benefit_category,
    valid_from date NOT NULL,
    valid_to date NOT NULL,
    evidence text NOT NULL,
    PRIMARY KEY (citizen_id, category, valid_from),
    CHECK (valid_from <= valid_to)
);

CREATE TABLE register.prescription (
    series text NOT NULL,
    number text NOT NULL,
    citizen_id uuid NOT NULL REFERENCES register.citizen,
    item_class text NOT NULL,
    quantity bigint NOT NULL CHECK (quantity > 0),
    -- share that the budget pays
    percent smallint NOT NULL CHECK (percent IN (50, 100)),
    prescribed_on date NOT NULL,
    valid_days smallint NOT NULL CHECK (valid_days IN (15, 30, 90)),
    allowance_id uuid NOT NULL UNIQUE,
    PRIMARY KEY (series, number)
);

CREATE INDEX prescription_citizen ON register.prescription (citizen_id);

-- 30_rights.sql
-- The bucket is a stable hash of the rights holder (rights.bucket_of); it leads every hot table,
-- so that a holder's rows live together on one database target.

CREATE TABLE rights.entitlement (
    bucket smallint NOT NULL CHECK (bucket BETWEEN 0 AND 1023),
    holder_id uuid NOT NULL,
    entitlement_id uuid NOT NULL,
    measure text NOT NULL,
    category text NOT NULL,
    valid_from date NOT NULL,
    valid_to date NOT NULL,
    decision_number text NOT NULL,
    decided_on date NOT NULL,
    PRIMARY KEY (bucket, holder_id, entitlement_id),
    CHECK (valid_from <= valid_to)
);

CREATE TABLE rights.allowance (
    bucket smallint NOT NULL CHECK (bucket BETWEEN 0 AND 1023),
    holder_id uuid NOT NULL,
    allowance_id uuid NOT NULL,
    entitlement_id uuid NOT NULL,
    measure text NOT NULL,
    category text NOT NULL,
    funding text NOT NULL,
    item_class text NOT NULL,
    unit_okei smallint NOT NULL,
    scale smallint NOT NULL,
    granted bigint NOT NULL CHECK (granted >= 0),
    -- 0 the whole term, 1 day, 2 week, 3 month, 4 quarter, 5 year (rights.period_start)
    period smallint NOT NULL CHECK (period BETWEEN 0 AND 5),
    valid_from date NOT NULL,
    valid_to date NOT NULL,
    -- the lowest is used first, then what ends first
    priority smallint NOT NULL DEFAULT 100,
    PRIMARY KEY (bucket, holder_id, allowance_id),
    CHECK (valid_from <= valid_to)
);

-- What online transactions took from an allowance in one period. Never above what is granted:
-- engine.authorize re-checks the limit in the very UPDATE that raises `used`.
-- A hot table has few checks, since each is parsed again for every statement that writes to it.
CREATE TABLE rights.counter (
    -- the allowance's
    bucket smallint NOT NULL,
    allowance_id uuid NOT NULL,
    period_start date NOT NULL,
    used bigint NOT NULL,
    -- the limit in force at the last debit
    granted bigint NOT NULL,
    PRIMARY KEY (bucket, allowance_id, period_start),
    CONSTRAINT never_overspent CHECK (used BETWEEN 0 AND granted)
)
-- An update leaves a dead row beside it, which the next visit of the page removes by walking over
-- all of the page's rows: the fewer, the cheaper.
WITH (fillfactor = 40);

-- The reservations that are open, with their end. What happened to a reservation is told by the
-- journal alone (docs/kinds.md); a row here is what finds those that are due, and what their end
-- locks. The key is that of the reserve, whose message class is always 1.
CREATE TABLE rights.reservation (
    bucket smallint NOT NULL,
    business_date date NOT NULL,
    terminal_id text NOT NULL,
    stan integer NOT NULL,
    assigned smallint NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (bucket, business_date, terminal_id, stan, assigned)
);

CREATE INDEX reservation_due ON rights.reservation (expires_at);

-- Who may act for whom with which card. The card's state is copied here, so that one look-up in
-- the holder's bucket tells both; cards.set_state keeps the copies equal in one transaction.
CREATE TABLE rights.card_authority (
    bucket smallint NOT NULL CHECK (bucket BETWEEN 0 AND 1023),
    holder_id uuid NOT NULL,
    card_id uuid NOT NULL,
    region smallint NOT NULL,
    -- services this card may be used for; NULL: all
    scope text[],
    valid_from date NOT NULL,
    valid_to date NOT NULL,
    card_state smallint NOT NULL CHECK (card_state BETWEEN 1 AND 3),
    card_valid_to date NOT NULL,
    PRIMARY KEY (bucket, holder_id, card_id),
    CHECK (valid_from <= valid_to)
);

CREATE INDEX card_authority_card ON rights.card_authority (card_id);

-- 40_terminals.sql
CREATE TABLE terminals.provider (
    provider_id uuid PRIMARY KEY,
    code text NOT NULL UNIQUE,
    inn text NOT NULL CHECK (inn ~ '^[0-9]{10}$'),
    kind text NOT NULL REFERENCES regulations.provider_kind,
    name_ru text NOT NULL,
    name_en text NOT NULL,
    contract text NOT NULL
);

CREATE TABLE terminals.terminal (
    terminal_id text PRIMARY KEY CHECK (terminal_id ~ '^[A-Z0-9]{8}$'),
    provider_id uuid NOT NULL REFERENCES terminals.provider,
    region smallint NOT NULL REFERENCES regulations.region,
    -- 1 active, 2 blocked
    state smallint NOT NULL DEFAULT 1 CHECK (state IN (1, 2)),
    -- generation of the terminal's MAC key (DE53), derived inside the HSM
    key_generation smallint NOT NULL DEFAULT 1 CHECK (key_generation BETWEEN 0 AND 255),
    -- the generation that was handed out and waits for the first message under it
    next_key_generation smallint CHECK (next_key_generation BETWEEN 0 AND 255),
    -- generation of the key under which the next MAC key travels; changes only with a new
    -- parameter file
    exchange_generation smallint NOT NULL DEFAULT 1 CHECK (exchange_generation BETWEEN 0 AND 255),
    CHECK (next_key_generation <> key_generation)
);

-- What each terminal said last about itself (0800).
CREATE TABLE terminals.presence (
    terminal_id text PRIMARY KEY REFERENCES terminals.terminal,
    heard_at timestamptz NOT NULL,
    signed_on boolean NOT NULL,
    -- when it signed on or off last; NULL: never did
    signed_at timestamptz,
    -- when it ended a business day last
    cut_over_at timestamptz
);

CREATE TABLE terminals.terminal_service (
    terminal_id text NOT NULL REFERENCES terminals.terminal,
    service text NOT NULL,
    PRIMARY KEY (terminal_id, service)
);

-- 50_cards.sql
CREATE TABLE cards.card (
    -- the GUID of the card's CHUID
    card_id uuid PRIMARY KEY,
    card_number text NOT NULL UNIQUE CHECK (card_number ~ '^964390[0-9]{13}$'),
    -- the citizen as a rights holder, without anything personal
    holder_id uuid NOT NULL,
    issuer_region smallint NOT NULL,
    -- 1 active, 2 blocked, 3 replaced
    state smallint NOT NULL CHECK (state BETWEEN 1 AND 3),
    valid_to date NOT NULL,
    -- uncompressed P-256 points: slot 9E signs a tap, slot 9A after a PIN
    public_key_tap bytea NOT NULL CHECK (length(public_key_tap) = 65),
    public_key_pin bytea NOT NULL CHECK (length(public_key_pin) = 65),
    certificate_tap bytea NOT NULL,
    certificate_pin bytea NOT NULL,
    issued_at timestamptz NOT NULL,
    -- rises with every change of state; a copy in another database takes only a newer one
    version integer NOT NULL DEFAULT 1
);

CREATE INDEX card_holder ON cards.card (holder_id);

CREATE TABLE cards.station (
    station_id text PRIMARY KEY CHECK (station_id ~ '^[A-Za-z0-9-]{1,32}$'),
    token_sha256 bytea NOT NULL CHECK (length(token_sha256) = 32),
    active boolean NOT NULL DEFAULT TRUE
);

CREATE TABLE cards.card_order (
    order_id uuid PRIMARY KEY,
    citizen_id uuid NOT NULL,
    -- what the card is printed from
    register_version integer NOT NULL,
    station_id text NOT NULL REFERENCES cards.station,
    card_id uuid NOT NULL UNIQUE,
    card_number text NOT NULL UNIQUE,
    issuer_region smallint NOT NULL,
    valid_to date NOT NULL,
    -- signed by the new card's key in slot 9E when the station reports it: 32 random bytes
    challenge bytea NOT NULL CHECK (length(challenge) = 32),
    -- 1 ordered, 2 issued, 3 given up
    state smallint NOT NULL CHECK (state BETWEEN 1 AND 3),
    ordered_at timestamptz NOT NULL,
    issued_at timestamptz
);

CREATE INDEX card_order_citizen ON cards.card_order (citizen_id);

-- 60_journal.sql
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

-- 65_engine.sql
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

-- 70_grants.sql
-- Each role gets what its work needs and no more. The journal can be read and added to; nobody,
-- not even its owner's functions, changes or deletes a row (the triggers see to the owner).

GRANT USAGE ON SCHEMA rights, regulations, terminals, cards, journal, engine, reconciliation
TO spk_processing;
GRANT SELECT ON ALL TABLES IN SCHEMA rights, regulations, terminals, journal TO spk_processing;
GRANT SELECT ON cards.card TO spk_processing;
GRANT INSERT, UPDATE (used, granted) ON rights.counter TO spk_processing;
-- Nothing updates a reservation, but who may not cannot lock it either.
GRANT INSERT, DELETE, UPDATE (expires_at) ON rights.reservation TO spk_processing;
GRANT INSERT ON journal.block, journal.event, journal.line, journal.child TO spk_processing;
GRANT SELECT, INSERT ON reconciliation.terminal_totals TO spk_processing;
GRANT UPDATE (key_generation, next_key_generation) ON terminals.terminal TO spk_processing;
GRANT INSERT, UPDATE ON terminals.presence TO spk_processing;

GRANT USAGE ON SCHEMA register, rights, regulations TO spk_register;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA register TO spk_register;
GRANT SELECT, INSERT, UPDATE ON rights.entitlement TO spk_register;
-- Where an allowance's periods begin is fixed for good: moving it would start a fresh counter.
GRANT SELECT, INSERT, UPDATE (granted, valid_to, priority) ON rights.allowance TO spk_register;
GRANT SELECT ON rights.counter, rights.card_authority TO spk_register;
GRANT SELECT ON ALL TABLES IN SCHEMA regulations TO spk_register;

GRANT USAGE ON SCHEMA register, rights, cards, regulations TO spk_issuing;
GRANT SELECT ON regulations.region TO spk_issuing;
GRANT SELECT, INSERT, UPDATE ON cards.card, cards.card_order TO spk_issuing;
GRANT SELECT ON cards.station TO spk_issuing;
GRANT SELECT, INSERT, UPDATE ON rights.card_authority TO spk_issuing;

GRANT USAGE ON SCHEMA terminals, cards, rights, regulations, journal TO spk_operator;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA terminals TO spk_operator;
GRANT DELETE ON terminals.terminal_service TO spk_operator;
GRANT SELECT, INSERT, UPDATE ON cards.station TO spk_operator;
GRANT SELECT, UPDATE (state, version) ON cards.card TO spk_operator;
GRANT SELECT, UPDATE (card_state) ON rights.card_authority TO spk_operator;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA regulations TO spk_operator;

GRANT USAGE ON SCHEMA terminals, regulations, journal, reconciliation TO spk_finance;
GRANT SELECT ON ALL TABLES IN SCHEMA terminals, regulations, journal, reconciliation
TO spk_finance;

-- Functions are closed unless a schema's users are named here; new ones inherit it.
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM public;
ALTER DEFAULT PRIVILEGES IN SCHEMA engine GRANT EXECUTE ON FUNCTIONS TO spk_processing;
ALTER DEFAULT PRIVILEGES IN SCHEMA rights GRANT EXECUTE ON FUNCTIONS
TO spk_processing, spk_register, spk_issuing, spk_finance;
ALTER DEFAULT PRIVILEGES IN SCHEMA cards GRANT EXECUTE ON FUNCTIONS TO spk_issuing, spk_operator;
ALTER DEFAULT PRIVILEGES IN SCHEMA register GRANT EXECUTE ON FUNCTIONS TO spk_issuing;
ALTER DEFAULT PRIVILEGES IN SCHEMA terminals GRANT EXECUTE ON FUNCTIONS
TO spk_operator, spk_processing;
ALTER DEFAULT PRIVILEGES IN SCHEMA reconciliation GRANT EXECUTE ON FUNCTIONS
TO spk_finance, spk_processing;

-- 75_archive.sql
-- What was done with each month of history, step by step; a month without a step is open. The
-- months form a row without gaps: everything before the last closed one is closed as well.
CREATE TABLE journal.archive_step (
    -- the first day of the month of business dates
    month date NOT NULL CHECK (extract(DAY FROM month) = 1),
    step_no smallint NOT NULL CHECK (step_no > 0),
    step text NOT NULL CHECK (step IN ('closed', 'detached', 'dropped', 'restored')),
    done_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    done_by text NOT NULL DEFAULT session_user,
    -- Of a detached month: what its tables hold, so that a restored month can be held to it. The
    -- checksums are of the rows as text (journal.checksum_of); the files are SHA-256 by name.
    event_count bigint,
    line_count bigint,
    event_checksum numeric,
    line_checksum numeric,
    files jsonb,
    PRIMARY KEY (month, step_no),
    CHECK (
        step <> 'detached'
        OR num_nulls(event_count, line_count, event_checksum, line_checksum, files) = 0
    )
);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON journal.archive_step
FOR EACH ROW EXECUTE FUNCTION journal.refuse_change();

GRANT SELECT ON journal.archive_step TO spk_processing, spk_operator, spk_finance;
-- Which block holds which decision says nothing about anybody.
GRANT SELECT ON journal.block TO spk_operator;

-- The day before which nothing can be added to the journal any more.
CREATE FUNCTION journal.closed_before() RETURNS date
LANGUAGE sql STABLE AS $$
    SELECT coalesce((max(s.month) + interval '1 month')::date, '-infinity'::date)
    FROM journal.archive_step AS s
$$;
GRANT EXECUTE ON FUNCTION journal.closed_before()
TO spk_processing, spk_operator, spk_finance;

-- A key of a closed month may have been decided in rows that are gone: it is never decided again.
CREATE FUNCTION journal.refuse_closed() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF new.business_date < journal.closed_before() THEN
        RAISE EXCEPTION 'the journal is closed before %: a row of % cannot be added',
            journal.closed_before(), new.business_date
        USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    RETURN new;
END
$$;

-- A month's own partitions get this trigger when it is closed. These two catch what is left.
CREATE TRIGGER closed BEFORE INSERT ON journal.event_other
FOR EACH ROW EXECUTE FUNCTION journal.refuse_closed();
CREATE TRIGGER closed BEFORE INSERT ON journal.line_other
FOR EACH ROW EXECUTE FUNCTION journal.refuse_closed();

-- 80_targets.sql
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

GRANT USAGE ON SCHEMA rights TO spk_finance;
GRANT SELECT ON rights.target
TO spk_processing, spk_register, spk_issuing, spk_operator, spk_finance;

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

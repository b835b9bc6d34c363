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
    -- the very item it was granted for; NULL: any of the class
    item text,
    -- for how many days, from valid_from on, what is granted is meant; NULL: no course
    course_days smallint CHECK (course_days BETWEEN 1 AND 366),
    PRIMARY KEY (bucket, holder_id, allowance_id),
    CHECK (valid_from <= valid_to)
);

-- What services ask about a rights holder, without saying anything about the person: a policy in
-- force (policy), the provider to which the holder is attached (attachment). Both come from the
-- register's policies (register.facts_of_change).
CREATE TABLE rights.holder_fact (
    bucket smallint NOT NULL CHECK (bucket BETWEEN 0 AND 1023),
    holder_id uuid NOT NULL,
    fact text NOT NULL CHECK (fact ~ '^[a-z]{1,16}$'),
    valid_from date NOT NULL,
    valid_to date NOT NULL,
    -- the code of the provider that it names, if it names one
    provider_code text,
    PRIMARY KEY (bucket, holder_id, fact, valid_from),
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

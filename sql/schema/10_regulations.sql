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
    -- what a line takes from an allowance: 1 its quantity, 2 the kopecks covered, 3 one per line;
    -- 4 nothing, and needs none: it is only recorded
    consumes smallint NOT NULL CHECK (consumes BETWEEN 1 AND 4),
    -- when the allowance is short: 1 refuse the whole, 2 cover what is left
    shortage smallint NOT NULL CHECK (shortage IN (1, 2)),
    -- least evidence: 1 tap, 2 PIN (processing.wire.transaction.Evidence)
    evidence smallint NOT NULL CHECK (evidence IN (1, 2)),
    valid_from date NOT NULL,
    valid_to date NOT NULL,
    -- days after valid_to on which a request signed under this version is still honoured
    grace_days smallint NOT NULL DEFAULT 3 CHECK (grace_days BETWEEN 0 AND 31),
    -- how long a reservation stands, at most 31 days; NULL: the service takes none. Of a service
    -- with visits: how long after its start a visit may be finished
    reserve_minutes integer CHECK (reserve_minutes BETWEEN 1 AND 44640),
    -- 0 no visits, 1 with a start and a finish or at once, 2 only with a start and a finish
    visit smallint NOT NULL DEFAULT 0 CHECK (visit BETWEEN 0 AND 2),
    -- whether a right to one item (rights.allowance.item) is open to others of its class
    substitution boolean NOT NULL DEFAULT TRUE,
    -- the next of a course is given when this share of the time is over for which what was given is
    -- meant, and refill_days before that; NULL: whenever it is asked for
    refill_percent smallint CHECK (refill_percent BETWEEN 1 AND 100),
    refill_days smallint NOT NULL DEFAULT 0 CHECK (refill_days BETWEEN 0 AND 90),
    -- whether it has rows in regulations.requirement
    conditional boolean NOT NULL DEFAULT FALSE,
    -- of what the citizen is told, and to whom what was given is reported
    notifies text[] NOT NULL DEFAULT '{}',
    reports text[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (service, version),
    CHECK (valid_from <= valid_to),
    CONSTRAINT visits_end CHECK (visit = 0 OR reserve_minutes IS NOT NULL)
);

-- What is covered of the price by a measure. Of one measure a service may have several rules, each
-- for its categories: no two of them are for the same.
CREATE TABLE regulations.price_rule (
    service text NOT NULL,
    version integer NOT NULL,
    measure text NOT NULL REFERENCES regulations.measure,
    percent smallint NOT NULL CHECK (percent BETWEEN 0 AND 100),
    -- whether the item's cap price limits what is covered
    capped boolean NOT NULL,
    tariff text NOT NULL,
    clause text NOT NULL DEFAULT '',
    -- the categories it is for or, if they are excluded, those it is not for; NULL: for all
    categories text[],
    excluded boolean NOT NULL DEFAULT FALSE,
    PRIMARY KEY (service, version, measure, clause),
    FOREIGN KEY (service, version) REFERENCES regulations.service
);

-- What must be known of the rights holder (rights.holder_fact) for a service to be given at all.
CREATE TABLE regulations.requirement (
    service text NOT NULL,
    version integer NOT NULL,
    clause text NOT NULL,
    fact text NOT NULL CHECK (fact ~ '^[a-z]{1,16}$'),
    -- whether it must name the provider that gives the service
    of_provider boolean NOT NULL,
    -- days after its end on which it still counts: while it is being prolonged
    prolonged_days smallint NOT NULL CHECK (prolonged_days BETWEEN 0 AND 366),
    PRIMARY KEY (service, version, fact),
    FOREIGN KEY (service, version) REFERENCES regulations.service
);

-- How much a measure grants to so many people: whoever grants it asks regulations.norm_of.
CREATE TABLE regulations.norm (
    service text NOT NULL,
    version integer NOT NULL,
    clause text NOT NULL,
    measure text NOT NULL REFERENCES regulations.measure,
    item_class text NOT NULL,
    people_from smallint NOT NULL CHECK (people_from > 0),
    people_to smallint NOT NULL,
    -- in the smallest unit, for all together or for each of them
    quantity bigint NOT NULL CHECK (quantity >= 0),
    each boolean NOT NULL,
    -- as in rights.allowance
    period smallint NOT NULL CHECK (period BETWEEN 0 AND 5),
    PRIMARY KEY (service, version, measure, item_class, people_from),
    FOREIGN KEY (service, version) REFERENCES regulations.service,
    CHECK (people_from <= people_to)
);

-- A refusal in the regulation's own words, where it has any.
CREATE TABLE regulations.refusal (
    service text NOT NULL,
    version integer NOT NULL,
    -- processing.wire.outcome.Outcome
    outcome smallint NOT NULL,
    text_ru text NOT NULL,
    text_en text NOT NULL,
    remedy_ru text NOT NULL,
    remedy_en text NOT NULL,
    PRIMARY KEY (service, version, outcome),
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
('school', 'Школа', 'School'),
('transport', 'Перевозчик', 'Public transport'),
('taxi', 'Социальное такси', 'Social taxi'),
('resort', 'Санаторий или лагерь', 'Sanatorium or camp'),
('office', 'Приёмная соцзащиты', 'Social protection office');

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

-- All rows of one version of a service (regulations.put_version).
CREATE TYPE regulations.version_rows AS (
    service regulations.service,
    price_rules regulations.price_rule [],
    requirements regulations.requirement [],
    norms regulations.norm [],
    refusals regulations.refusal []
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
    priority smallint,
    category text,
    item text,
    course_days smallint,
    -- for how many days it has run on the day of the case
    running_days smallint
);

-- What a regulation's test case knows of its citizen: of this provider, or of another.
CREATE TYPE regulations.trial_fact AS (
    fact text,
    here boolean,
    valid_to date
);

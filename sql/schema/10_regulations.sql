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

-- Files of ЕГИССО: the catalogue of local measures (10.05.I), and which facts were told (10.06.S).

-- A catalogue as it was brought by one person and approved by another.
CREATE TABLE exchange.catalogue (
    catalogue_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    package_id uuid NOT NULL UNIQUE,
    body bytea NOT NULL,
    body_sha256 bytea NOT NULL CHECK (body_sha256 = sha256(body)),
    proposed_by text NOT NULL CHECK (proposed_by <> ''),
    proposed_at timestamptz NOT NULL,
    approved_by text,
    approved_at timestamptz,
    CONSTRAINT another_person_approves CHECK (approved_by <> proposed_by),
    CHECK ((approved_by IS NULL) = (approved_at IS NULL))
);

-- The local measures in force here, each as the catalogue told it.
CREATE TABLE exchange.lmsz (
    lmsz_id uuid PRIMARY KEY,
    title text NOT NULL,
    -- 01 money, 02 in kind, 03 exemption, 04 service
    form text NOT NULL CHECK (form ~ '^[0-9]{2}$'),
    valid_from date NOT NULL,
    valid_to date,
    -- everything that the catalogue says of it, as JSON of egisso/local_measure.py
    body jsonb NOT NULL,
    catalogue_id bigint NOT NULL REFERENCES exchange.catalogue,
    removed_by bigint REFERENCES exchange.catalogue
);

CREATE TABLE exchange.lmsz_category (
    lmsz_id uuid NOT NULL REFERENCES exchange.lmsz,
    category_id uuid NOT NULL,
    title text NOT NULL,
    PRIMARY KEY (lmsz_id, category_id)
);

-- What a measure of ours is there.
CREATE TABLE exchange.egisso_measure (
    measure text PRIMARY KEY REFERENCES regulations.measure,
    lmsz_id uuid NOT NULL REFERENCES exchange.lmsz,
    -- the authority that grants it, such as 0123.000456
    osz_code text NOT NULL CHECK (osz_code ~ '^[A-HJ-NP-Z0-9]{4}\.[0-9]{6}$'),
    -- what is told: each month what was provided, or once what was assigned
    basis text NOT NULL CHECK (basis IN ('provided', 'assigned')),
    -- the unit it is told in; NULL: the unit of the goods
    okei text CHECK (okei ~ '^[0-9]{3,4}$'),
    monetization boolean NOT NULL,
    linked_by text NOT NULL CHECK (linked_by <> '')
);

CREATE TABLE exchange.egisso_category (
    measure text NOT NULL REFERENCES exchange.egisso_measure,
    category text NOT NULL REFERENCES register.benefit_category,
    category_id uuid NOT NULL,
    PRIMARY KEY (measure, category)
);

CREATE TABLE exchange.egisso_export (
    export_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- the first day of the month
    period date NOT NULL CHECK (extract(DAY FROM period) = 1),
    made_by text NOT NULL CHECK (made_by <> ''),
    made_at timestamptz NOT NULL,
    record_count integer NOT NULL,
    held_count integer NOT NULL,
    unchanged_count integer NOT NULL
);

-- What was provided or assigned in the month, gathered from every database for one export.
CREATE TABLE exchange.egisso_gathered (
    period date NOT NULL,
    basis text NOT NULL,
    entitlement_id uuid NOT NULL,
    holder_id uuid NOT NULL,
    measure text NOT NULL,
    category text NOT NULL,
    unit_okei smallint NOT NULL,
    scale smallint NOT NULL,
    quantity bigint NOT NULL,
    covered_kopecks bigint NOT NULL,
    decided_on date NOT NULL,
    valid_from date NOT NULL,
    valid_to date NOT NULL
);

-- The facts that ЕГИССО was told of, as they were told last.
CREATE TABLE exchange.egisso_fact (
    fact_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    period date NOT NULL,
    entitlement_id uuid NOT NULL,
    unit_okei smallint NOT NULL,
    scale smallint NOT NULL,
    quantity bigint NOT NULL,
    amount_kopecks bigint NOT NULL,
    date_start date NOT NULL,
    date_finish date NOT NULL,
    category_id uuid NOT NULL,
    withdrawn boolean NOT NULL DEFAULT FALSE
);

-- A fact that was withdrawn may come back under a new id; of those that stand there is one.
CREATE UNIQUE INDEX egisso_fact_stands_once
ON exchange.egisso_fact (period, entitlement_id, unit_okei, scale) WHERE NOT withdrawn;

-- Every record of every export, in the order of its files. Never changed.
CREATE TABLE exchange.egisso_record (
    export_id bigint NOT NULL REFERENCES exchange.egisso_export,
    ordinal integer NOT NULL,
    -- 1 new fact, 2 other amount, 3 other facts, 4 ended earlier, 5 withdrawn
    kind smallint NOT NULL CHECK (kind BETWEEN 1 AND 5),
    event_id uuid NOT NULL DEFAULT gen_random_uuid(),
    fact_id uuid NOT NULL REFERENCES exchange.egisso_fact,
    citizen_id uuid NOT NULL,
    measure text NOT NULL,
    category_id uuid NOT NULL,
    okei text NOT NULL,
    scale smallint NOT NULL,
    quantity bigint NOT NULL,
    amount_kopecks bigint NOT NULL,
    decided_on date NOT NULL,
    date_start date NOT NULL,
    date_finish date NOT NULL,
    PRIMARY KEY (export_id, ordinal)
);

-- What could not be told, and why.
CREATE TABLE exchange.egisso_held (
    export_id bigint NOT NULL REFERENCES exchange.egisso_export,
    entitlement_id uuid NOT NULL,
    measure text NOT NULL,
    category text NOT NULL,
    reason text NOT NULL CHECK (reason IN ('measure', 'category', 'recipient', 'name', 'negative'))
);

CREATE INDEX egisso_held_export ON exchange.egisso_held (export_id, reason);

-- The files as they were sent, compressed: made again they are the same to the byte.
CREATE TABLE exchange.egisso_package (
    export_id bigint NOT NULL REFERENCES exchange.egisso_export,
    number integer NOT NULL CHECK (number > 0),
    package_id uuid NOT NULL UNIQUE,
    content_sha256 bytea NOT NULL CHECK (octet_length(content_sha256) = 32),
    -- zlib (RFC 1950)
    content bytea NOT NULL,
    PRIMARY KEY (export_id, number)
);

GRANT SELECT ON ALL TABLES IN SCHEMA exchange TO spk_exchange;
GRANT INSERT, DELETE ON exchange.egisso_gathered TO spk_exchange;
GRANT INSERT ON exchange.egisso_export, exchange.egisso_record, exchange.egisso_held,
exchange.egisso_package, exchange.catalogue, exchange.egisso_measure, exchange.egisso_category
TO spk_exchange;
GRANT INSERT, UPDATE ON exchange.egisso_fact TO spk_exchange;
GRANT UPDATE (record_count, held_count, unchanged_count) ON exchange.egisso_export
TO spk_exchange;
GRANT UPDATE, DELETE ON exchange.egisso_measure, exchange.egisso_category TO spk_exchange;
GRANT UPDATE (approved_by, approved_at) ON exchange.catalogue TO spk_exchange;
GRANT INSERT, UPDATE ON exchange.lmsz TO spk_exchange;
GRANT INSERT, DELETE ON exchange.lmsz_category TO spk_exchange;

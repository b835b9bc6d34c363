-- The first schema. Frozen once released: changes come as new files beside it; sql/schema/ shows the sum.

-- 00_roles.sql
-- Roles are shared by all databases of one server, so each is made only once.
-- They cannot log in: a program's own login is granted the one role it needs.
DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY[
        'spk_owner', 'spk_processing', 'spk_register', 'spk_issuing', 'spk_finance', 'spk_operator',
        'spk_exchange'
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
CREATE SCHEMA exchange;

COMMENT ON SCHEMA register IS 'Personal data. Closed to the processing role.';
COMMENT ON SCHEMA rights IS 'Who may use what, led by the holder''s bucket. No personal data.';
COMMENT ON SCHEMA regulations IS 'Service regulations as rows, the same on every database target.';
COMMENT ON SCHEMA cards IS 'Cards, their orders and the stations that make them.';
COMMENT ON SCHEMA terminals IS 'Providers, their terminals and the services allowed there.';
COMMENT ON SCHEMA journal IS 'Append-only events: the truth from which balances can be rebuilt.';
COMMENT ON SCHEMA engine IS 'Functions that decide transactions.';
COMMENT ON SCHEMA reconciliation IS 'Totals and exports for finance.';
COMMENT ON SCHEMA exchange IS 'Messages to and from other agencies. Personal data while under way.';

-- Functions are closed unless a schema's users are named here; new ones inherit it.
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM public;
ALTER DEFAULT PRIVILEGES IN SCHEMA engine GRANT EXECUTE ON FUNCTIONS TO spk_processing;
ALTER DEFAULT PRIVILEGES IN SCHEMA rights GRANT EXECUTE ON FUNCTIONS
TO spk_processing, spk_register, spk_issuing, spk_finance;
ALTER DEFAULT PRIVILEGES IN SCHEMA cards GRANT EXECUTE ON FUNCTIONS TO spk_issuing, spk_operator;
ALTER DEFAULT PRIVILEGES IN SCHEMA register GRANT EXECUTE ON FUNCTIONS TO spk_register;
ALTER DEFAULT PRIVILEGES IN SCHEMA terminals GRANT EXECUTE ON FUNCTIONS
TO spk_operator, spk_processing;
ALTER DEFAULT PRIVILEGES IN SCHEMA reconciliation GRANT EXECUTE ON FUNCTIONS
TO spk_finance, spk_processing;

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

-- 12_replays.sql
-- What a draft would have done with past transactions (spk regulation replay): the record that a
-- proposal needs. It belongs to the draft's exact text and is never edited.
CREATE TABLE regulations.replay (
    replay_id uuid PRIMARY KEY,
    service text NOT NULL,
    version integer NOT NULL,
    -- SHA-256 of the draft's text
    document_sha256 bytea NOT NULL CHECK (length(document_sha256) = 32),
    -- the posting dates whose transactions were decided anew
    first_day date NOT NULL,
    last_day date NOT NULL,
    -- sums of everything, by category and by provider (processing.regulations.replay_model.Sums)
    sums jsonb NOT NULL,
    made_by text NOT NULL CHECK (made_by <> ''),
    made_at timestamptz NOT NULL,
    CHECK (first_day <= last_day)
);

CREATE INDEX replay_document ON regulations.replay (document_sha256, made_at DESC);

-- The transactions that the draft decides otherwise, those that weigh most first. They name holders
-- by reference only.
CREATE TABLE regulations.replay_change (
    replay_id uuid NOT NULL REFERENCES regulations.replay,
    number integer NOT NULL,
    change jsonb NOT NULL,
    PRIMARY KEY (replay_id, number)
);

-- 20_register.sql
-- Personal data. What every record has in common: the change that made it, the versions before it,
-- who read it. The records themselves are in the files numbered 21.

-- The kinds of records, in the order in which they can be written: a kind stands after those it
-- refers to. processing.register.records describes their fields; a test holds both lists equal.
CREATE TABLE register.record_kind (
    kind text PRIMARY KEY,
    rank smallint NOT NULL UNIQUE,
    table_name text NOT NULL UNIQUE,
    key_column text NOT NULL,
    -- takes effect only when a second person approved it
    creates_rights boolean NOT NULL
);

INSERT INTO register.record_kind (kind, rank, table_name, key_column, creates_rights) VALUES
('citizen', 1, 'citizen', 'citizen_id', FALSE),
('identity_document', 2, 'identity_document', 'record_id', FALSE),
('address', 3, 'address', 'record_id', FALSE),
('contact', 4, 'contact', 'record_id', FALSE),
('consent', 5, 'consent', 'record_id', FALSE),
('representative', 6, 'representative', 'record_id', TRUE),
('household', 7, 'household', 'household_id', FALSE),
('household_member', 8, 'household_member', 'record_id', FALSE),
('income', 9, 'income', 'record_id', FALSE),
('circumstance', 10, 'circumstance', 'record_id', FALSE),
('category', 11, 'citizen_category', 'record_id', TRUE),
('life_event', 12, 'life_event', 'record_id', FALSE),
('service_plan', 13, 'service_plan', 'record_id', TRUE),
('service_plan_line', 14, 'service_plan_line', 'record_id', TRUE),
('rehabilitation_plan', 15, 'rehabilitation_plan', 'record_id', TRUE),
('rehabilitation_measure', 16, 'rehabilitation_measure', 'record_id', TRUE),
('prescription', 17, 'prescription', 'record_id', TRUE),
('certificate', 18, 'certificate', 'record_id', TRUE),
('personal_account', 19, 'personal_account', 'record_id', FALSE),
('policy', 20, 'policy', 'record_id', TRUE),
('school_meals', 21, 'school_meals', 'record_id', TRUE),
('entitlement', 22, 'entitlement', 'record_id', TRUE);

-- One person's edit, or one whole import: what is approved, shown and undone as a unit.
CREATE TABLE register.change (
    change_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    made_by text NOT NULL CHECK (made_by <> ''),
    reason text NOT NULL CHECK (reason <> ''),
    -- by what way it came: edit, request, import, exchange, task, eligibility, region, undo
    source text NOT NULL CHECK (source ~ '^[a-z]{1,16}$'),
    -- the number of the import, message or request there
    source_reference text,
    approved_by text CHECK (approved_by <> ''),
    approved_at timestamptz,
    -- the change that this one takes back
    undoes bigint REFERENCES register.change,
    CONSTRAINT another_person_approves CHECK (approved_by <> made_by),
    CHECK ((approved_by IS NULL) = (approved_at IS NULL))
);

CREATE INDEX change_undoes ON register.change (undoes) WHERE undoes IS NOT NULL;
CREATE INDEX change_source ON register.change (source, source_reference)
WHERE source_reference IS NOT NULL;

-- The versions that were superseded or removed. A record's first version costs nothing here, so
-- that an import of a million is no dearer than its rows.
CREATE TABLE register.history (
    kind text NOT NULL REFERENCES register.record_kind,
    record_id uuid NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    -- when this version became known here, and when it ceased to be the latest
    recorded_from timestamptz NOT NULL,
    recorded_to timestamptz NOT NULL,
    -- the change that made it, and the one that superseded or removed it
    change_id bigint NOT NULL,
    ended_by bigint NOT NULL,
    -- whose record it was: either, both or (of a citizen or household itself) its own id
    citizen_id uuid,
    household_id uuid,
    -- the whole row as it was
    body jsonb NOT NULL,
    PRIMARY KEY (kind, record_id, version)
);

CREATE INDEX history_citizen ON register.history (citizen_id) WHERE citizen_id IS NOT NULL;
CREATE INDEX history_household ON register.history (household_id) WHERE household_id IS NOT NULL;
CREATE INDEX history_change ON register.history (change_id);
CREATE INDEX history_ended_by ON register.history (ended_by);

-- The change that this transaction makes; NULL outside of one. register.begin_change sets it, new
-- rows take it as their default and triggers write it to changed ones: nobody can forget it.
CREATE FUNCTION register.current_change() RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE
RETURN nullif(current_setting('register.change_id', TRUE), '')::bigint;

-- Nobody, not even the owner's functions, changes or deletes a row of the table.
CREATE FUNCTION register.refuse_rewriting() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', tg_table_name
        USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON register.change
FOR EACH ROW EXECUTE FUNCTION register.refuse_rewriting();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON register.change
FOR EACH STATEMENT EXECUTE FUNCTION register.refuse_rewriting();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON register.history
FOR EACH ROW EXECUTE FUNCTION register.refuse_rewriting();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON register.history
FOR EACH STATEMENT EXECUTE FUNCTION register.refuse_rewriting();

-- When the version after one recorded at p_before begins: now, and later than that one, also where
-- a writer waited for another. Constant within a statement, so that history and row agree.
CREATE FUNCTION register.recorded_after(p_before timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
RETURN greatest(statement_timestamp(), p_before + interval '1 microsecond');

-- Gives a changed row its next version, the change that makes it and the instant.
CREATE FUNCTION register.next_version() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    new.version := old.version + 1;
    new.change_id := register.current_change();
    new.recorded_at := register.recorded_after(old.recorded_at);
    RETURN new;
END
$$;

-- Keeps the versions that a statement superseded (TG_OP UPDATE) or removed (DELETE).
-- Arguments: the kind and the key's column.
CREATE FUNCTION register.keep_history() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    ended_by bigint := register.current_change();
BEGIN
    IF ended_by IS NULL THEN
        RAISE EXCEPTION 'register.% is changed outside of a change: call register.begin_change',
            tg_table_name USING ERRCODE = 'not_null_violation';
    END IF;
    INSERT INTO register.history (
        kind, record_id, version, recorded_from, recorded_to, change_id, ended_by,
        citizen_id, household_id, body
    )
    SELECT
        tg_argv[0], (b.body ->> tg_argv[1])::uuid, b.version, b.recorded_at,
        register.recorded_after(b.recorded_at),
        b.change_id, ended_by,
        (b.body ->> 'citizen_id')::uuid, (b.body ->> 'household_id')::uuid, b.body
    FROM (
        SELECT o.version, o.recorded_at, o.change_id, to_jsonb(o) AS body FROM before AS o
    ) AS b;
    RETURN NULL;
END
$$;

-- Refuses two records of one subject in force at once. Arguments: the name of the rule, the key's
-- column, the columns that name the subject, then the period's first and last day; a last day that
-- is NULL is open. Writers of one subject wait for each other, so that two at once cannot both
-- find nothing in the way; the query after the lock has a snapshot of its own.
CREATE FUNCTION register.refuse_overlap() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    rule CONSTANT text := tg_argv[0];
    subject CONSTANT text[] := string_to_array(tg_argv[2], ',');
    same text;
    found_key uuid;
BEGIN
    EXECUTE format(
        'SELECT pg_advisory_xact_lock(%s, s.byte) FROM (SELECT DISTINCT'
        ' get_byte(uuid_send(a.%I), 15) AS byte FROM after AS a ORDER BY 1) AS s',
        tg_relid::oid::integer, subject[1]
    );
    SELECT string_agg(format('a.%1$I = t.%1$I', s.name), ' AND ') INTO same
    FROM unnest(subject) AS s (name);
    EXECUTE format(
        'SELECT a.%1$I FROM after AS a INNER JOIN %2$I.%3$I AS t ON %4$s AND a.%1$I <> t.%1$I'
        ' WHERE a.%5$I <= coalesce(t.%6$I, ''infinity''::date)'
        ' AND t.%5$I <= coalesce(a.%6$I, ''infinity''::date) LIMIT 1',
        tg_argv[1], tg_table_schema, tg_table_name, same, tg_argv[3], tg_argv[4]
    ) INTO found_key;
    IF found_key IS NOT NULL THEN
        RAISE EXCEPTION '%: two records of one subject are in force at once', rule
            USING ERRCODE = 'exclusion_violation', CONSTRAINT = rule,
            SCHEMA = tg_table_schema, TABLE = tg_table_name;
    END IF;
    RETURN NULL;
END
$$;

-- Every read of personal data, a row per person shown. Never changed.
CREATE TABLE register.read_log (
    read_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    read_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    read_by text NOT NULL CHECK (read_by <> ''),
    purpose text NOT NULL CHECK (purpose <> ''),
    -- by what way: file, search, history, request, exchange, eligibility, import
    way text NOT NULL CHECK (way ~ '^[a-z]{1,16}$'),
    -- NULL: a household, or a question that found nobody
    citizen_id uuid,
    household_id uuid,
    -- the kinds of records shown
    kinds text[] NOT NULL
);

CREATE INDEX read_log_citizen ON register.read_log (citizen_id, read_at);
CREATE INDEX read_log_household ON register.read_log (household_id, read_at)
WHERE household_id IS NOT NULL;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON register.read_log
FOR EACH ROW EXECUTE FUNCTION register.refuse_rewriting();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON register.read_log
FOR EACH STATEMENT EXECUTE FUNCTION register.refuse_rewriting();

-- What somebody asks to have changed. Decided once, by another person.
CREATE TABLE register.change_request (
    request_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    proposed_by text NOT NULL CHECK (proposed_by <> ''),
    proposed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    reason text NOT NULL CHECK (reason <> ''),
    source text NOT NULL CHECK (source ~ '^[a-z]{1,16}$'),
    source_reference text,
    -- the citizen who asks for it, where it is one (a wrong address)
    asked_by_citizen uuid,
    decision text CHECK (decision IN ('approved', 'refused')),
    decided_by text CHECK (decided_by <> ''),
    decided_at timestamptz,
    decision_reason text,
    -- the change that it became
    change_id bigint REFERENCES register.change,
    CONSTRAINT another_person_decides CHECK (decided_by <> proposed_by),
    CHECK ((decision IS NULL) = (decided_by IS NULL)),
    CHECK ((decision IS NULL) = (decided_at IS NULL)),
    CHECK (coalesce(decision = 'approved', FALSE) = (change_id IS NOT NULL)),
    CHECK (decision IS DISTINCT FROM 'refused' OR decision_reason <> '')
);

CREATE INDEX change_request_open ON register.change_request (request_id) WHERE decision IS NULL;

CREATE TABLE register.requested_edit (
    request_id bigint NOT NULL REFERENCES register.change_request,
    ordinal smallint NOT NULL CHECK (ordinal > 0),
    kind text NOT NULL REFERENCES register.record_kind,
    record_id uuid NOT NULL,
    -- the version that was looked at; 0: a new record
    base_version integer NOT NULL CHECK (base_version >= 0),
    -- the columns to set; NULL: the record is to be removed
    body jsonb,
    PRIMARY KEY (request_id, ordinal),
    CHECK (body IS NOT NULL OR base_version > 0)
);

CREATE INDEX requested_edit_record ON register.requested_edit (record_id);

-- One edit of a change: `base_version` is the version that was looked at (0: a new record),
-- `body` the columns to set (NULL: the record is to be removed).
CREATE TYPE register.edit AS (
    kind text,
    record_id uuid,
    base_version integer,
    body jsonb
);

-- What the database that serves a holder's bucket does not know yet of their rights. Written with
-- the change itself and taken away when it was told: it may be late, but is never forgotten.
CREATE TABLE register.rights_delivery (
    delivery_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bucket smallint NOT NULL CHECK (bucket BETWEEN 0 AND 1023),
    change_id bigint NOT NULL,
    -- see rights.accept
    action text NOT NULL CHECK (action IN ('entitlement', 'allowance', 'withdraw', 'facts')),
    body jsonb NOT NULL
);

-- 21_register_people.sql
-- The records of the register. Each has its key, its version, the change that made this version and
-- the instant since when it is the latest. `change_id` is no foreign key: its default is the change
-- of this very transaction, and a check of each row would double what an import costs.

CREATE TABLE register.benefit_category (
    category text PRIMARY KEY,
    name_ru text NOT NULL,
    name_en text NOT NULL
);

CREATE TABLE register.citizen (
    citizen_id uuid PRIMARY KEY,
    snils text NOT NULL CONSTRAINT snils_of_one_citizen UNIQUE CHECK (snils ~ '^[0-9]{11}$'),
    enp text CONSTRAINT enp_of_one_citizen UNIQUE CHECK (enp ~ '^[0-9]{16}$'),
    inn text CONSTRAINT inn_of_one_citizen UNIQUE CHECK (inn ~ '^[0-9]{12}$'),
    last_name text NOT NULL CHECK (last_name <> ''),
    first_name text NOT NULL CHECK (first_name <> ''),
    patronymic text CHECK (patronymic <> ''),
    birth_date date NOT NULL,
    death_date date,
    sex character(1) NOT NULL CHECK (sex IN ('m', 'f')),
    region smallint NOT NULL REFERENCES regulations.region,
    -- rises with every change; others hold references to a version, never copies
    version integer NOT NULL DEFAULT 1 CHECK (version > 0),
    change_id bigint NOT NULL DEFAULT register.current_change(),
    recorded_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    CONSTRAINT dies_after_birth CHECK (death_date >= birth_date)
);

CREATE TABLE register.identity_document (
    record_id uuid PRIMARY KEY,
    citizen_id uuid NOT NULL REFERENCES register.citizen DEFERRABLE,
    document_type text NOT NULL CHECK (document_type IN (
        'passport', 'birth_certificate', 'foreign_passport', 'residence_permit',
        'temporary_identity_card', 'military_id', 'refugee_certificate', 'other'
    )),
    series text,
    number text NOT NULL CHECK (number <> ''),
    issued_on date,
    issued_by text,
    department_code text CHECK (department_code ~ '^[0-9]{6}$'),
    valid_to date,
    version integer NOT NULL DEFAULT 1 CHECK (version > 0),
    change_id bigint NOT NULL DEFAULT register.current_change(),
    recorded_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    -- the number leads, since people search by it
    CONSTRAINT document_of_one_citizen
    UNIQUE NULLS NOT DISTINCT (number, series, document_type),
    CONSTRAINT document_ends_after_issue CHECK (issued_on <= valid_to)
);

CREATE INDEX identity_document_citizen ON register.identity_document (citizen_id);

CREATE TABLE register.address (
    record_id uuid PRIMARY KEY,
    citizen_id uuid NOT NULL REFERENCES register.citizen DEFERRABLE,
    address_kind text NOT NULL CHECK (address_kind IN ('registered', 'actual', 'temporary')),
    -- as one line, the way people write it on an envelope
    line text NOT NULL CHECK (line <> ''),
    postal_code text CHECK (postal_code ~ '^[0-9]{6}$'),
    -- the object of the state address register (ГАР, formerly ФИАС)
    gar_id uuid,
    valid_from date,
    version integer NOT NULL DEFAULT 1 CHECK (version > 0),
    change_id bigint NOT NULL DEFAULT register.current_change(),
    recorded_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    CONSTRAINT one_address_of_a_kind UNIQUE (citizen_id, address_kind)
);

CREATE TABLE register.contact (
    record_id uuid PRIMARY KEY,
    citizen_id uuid NOT NULL REFERENCES register.citizen DEFERRABLE,
    channel text NOT NULL CHECK (channel IN ('phone', 'sms', 'email', 'post', 'portal')),
    -- a telephone as digits with the country's code
    value text NOT NULL CHECK (value <> ''),
    -- by which the citizen wants to be told; at most one
    preferred boolean NOT NULL,
    confirmed_on date,
    version integer NOT NULL DEFAULT 1 CHECK (version > 0),
    change_id bigint NOT NULL DEFAULT register.current_change(),
    recorded_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    CONSTRAINT contact_stands_once UNIQUE (citizen_id, channel, value)
);

CREATE UNIQUE INDEX one_preferred_contact ON register.contact (citizen_id) WHERE preferred;

CREATE TABLE register.consent (
    record_id uuid PRIMARY KEY,
    citizen_id uuid NOT NULL REFERENCES register.citizen DEFERRABLE,
    -- what is allowed: to keep the data, to grant without an application, to tell other agencies,
    -- to send messages
    scope text NOT NULL CHECK (scope IN ('processing', 'proactive', 'exchange', 'notifications')),
    given_on date NOT NULL,
    withdrawn_on date,
    document text,
    version integer NOT NULL DEFAULT 1 CHECK (version > 0),
    change_id bigint NOT NULL DEFAULT register.current_change(),
    recorded_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    CONSTRAINT consent_stands_once UNIQUE (citizen_id, scope, given_on),
    CONSTRAINT withdrawn_after_given CHECK (given_on <= withdrawn_on)
);

CREATE UNIQUE INDEX one_consent_in_force ON register.consent (citizen_id, scope)
WHERE withdrawn_on IS NULL;

CREATE TABLE register.representative (
    record_id uuid PRIMARY KEY,
    -- the one who is represented, and who acts for them
    citizen_id uuid NOT NULL REFERENCES register.citizen DEFERRABLE,
    representative_id uuid NOT NULL REFERENCES register.citizen DEFERRABLE,
    basis text NOT NULL CHECK (basis IN ('parent', 'guardian', 'trustee', 'attorney', 'court')),
    -- the services in which they may act; NULL: all
    scope text[],
    -- the paper that says so
    document text NOT NULL CHECK (document <> ''),
    valid_from date NOT NULL,
    valid_to date,
    version integer NOT NULL DEFAULT 1 CHECK (version > 0),
    change_id bigint NOT NULL DEFAULT register.current_change(),
    recorded_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    CONSTRAINT nobody_represents_themselves CHECK (citizen_id <> representative_id),
    CONSTRAINT representative_stands_once UNIQUE (citizen_id, representative_id, valid_from),
    CONSTRAINT representative_ends_after_start CHECK (valid_from <= valid_to)
);

CREATE INDEX representative_acts ON register.representative (representative_id);

CREATE TABLE register.household (
    household_id uuid PRIMARY KEY,
    -- the number of its file
    number text NOT NULL CONSTRAINT household_number_once UNIQUE CHECK (number <> ''),
    region smallint NOT NULL REFERENCES regulations.region,
    address text NOT NULL,
    version integer NOT NULL DEFAULT 1 CHECK (version > 0),
    change_id bigint NOT NULL DEFAULT register.current_change(),
    recorded_at timestamptz NOT NULL DEFAULT statement_timestamp()
);

CREATE TABLE register.household_member (
    record_id uuid PRIMARY KEY,
    household_id uuid NOT NULL REFERENCES register.household DEFERRABLE,
    citizen_id uuid NOT NULL REFERENCES register.citizen DEFERRABLE,
    relation text NOT NULL CHECK (relation IN ('head', 'spouse', 'child', 'other')),
    version integer NOT NULL DEFAULT 1 CHECK (version > 0),
    change_id bigint NOT NULL DEFAULT register.current_change(),
    recorded_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    CONSTRAINT member_stands_once UNIQUE (household_id, citizen_id)
);

CREATE INDEX household_member_citizen ON register.household_member (citizen_id);
CREATE UNIQUE INDEX one_head_of_household ON register.household_member (household_id)
WHERE relation = 'head';

CREATE TABLE register.income (
    record_id uuid PRIMARY KEY,
    citizen_id uuid NOT NULL REFERENCES register.citizen DEFERRABLE,
    income_kind text NOT NULL CHECK (income_kind IN (
        'salary', 'pension', 'benefit', 'scholarship', 'alimony', 'business', 'other'
    )),
    -- its first day
    month date NOT NULL CHECK (extract(DAY FROM month) = 1),
    amount_kopecks bigint NOT NULL CHECK (amount_kopecks >= 0),
    -- who paid it
    payer text,
    version integer NOT NULL DEFAULT 1 CHECK (version > 0),
    change_id bigint NOT NULL DEFAULT register.current_change(),
    recorded_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    CONSTRAINT income_stands_once
    UNIQUE NULLS NOT DISTINCT (citizen_id, month, income_kind, payer)
);

-- What a citizen is for the time being, where no category says it: at work, a pensioner, pregnant.
CREATE TABLE register.circumstance (
    record_id uuid PRIMARY KEY,
    citizen_id uuid NOT NULL REFERENCES register.citizen DEFERRABLE,
    circumstance text NOT NULL CHECK (circumstance IN (
        'employed', 'unemployed', 'self_employed', 'pensioner', 'student', 'pregnant',
        'parental_leave', 'military_service', 'needs_care'
    )),
    valid_from date NOT NULL,
    valid_to date,
    evidence text,
    version integer NOT NULL DEFAULT 1 CHECK (version > 0),
    change_id bigint NOT NULL DEFAULT register.current_change(),
    recorded_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    CONSTRAINT circumstance_stands_once UNIQUE (citizen_id, circumstance, valid_from),
    CONSTRAINT circumstance_ends_after_start CHECK (valid_from <= valid_to)
);

CREATE TABLE register.citizen_category (
    record_id uuid PRIMARY KEY,
    citizen_id uuid NOT NULL REFERENCES register.citizen DEFERRABLE,
    category text NOT NULL
    CONSTRAINT category_is_known REFERENCES register.benefit_category,
    valid_from date NOT NULL,
    valid_to date NOT NULL,
    evidence text NOT NULL,
    version integer NOT NULL DEFAULT 1 CHECK (version > 0),
    change_id bigint NOT NULL DEFAULT register.current_change(),
    recorded_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    CONSTRAINT category_stands_once UNIQUE (citizen_id, category, valid_from),
    CONSTRAINT category_ends_after_start CHECK (valid_from <= valid_to)
);

CREATE TABLE register.life_event (
    record_id uuid PRIMARY KEY,
    citizen_id uuid NOT NULL REFERENCES register.citizen DEFERRABLE,
    event text NOT NULL CHECK (event IN (
        'birth', 'child_born', 'adoption', 'marriage', 'divorce', 'disability_set',
        'disability_ended', 'retirement', 'relocation', 'job_loss', 'loss_of_breadwinner',
        'school_start', 'coming_of_age', 'death'
    )),
    happened_on date NOT NULL,
    -- who else it concerns: the child born, the breadwinner lost
    related_citizen_id uuid REFERENCES register.citizen DEFERRABLE,
    -- who told of it, and by what document
    reported_by text,
    document text,
    version integer NOT NULL DEFAULT 1 CHECK (version > 0),
    change_id bigint NOT NULL DEFAULT register.current_change(),
    recorded_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    CONSTRAINT event_stands_once
    UNIQUE NULLS NOT DISTINCT (citizen_id, event, happened_on, related_citizen_id)
);

CREATE INDEX life_event_related ON register.life_event (related_citizen_id)
WHERE related_citizen_id IS NOT NULL;

-- 21_register_rights.sql
-- The records that rights rest on; see 21_register_people.sql for what all have in common.

CREATE TABLE register.service_plan (
    record_id uuid PRIMARY KEY,
    number text NOT NULL CONSTRAINT service_plan_number_once UNIQUE CHECK (number <> ''),
    citizen_id uuid NOT NULL REFERENCES register.citizen DEFERRABLE,
    form text NOT NULL CHECK (form IN ('home', 'semi_stationary', 'stationary')),
    provider_code text,
    -- what pays for its services, and the category that opens it
    measure text NOT NULL CONSTRAINT plan_measure_is_known REFERENCES regulations.measure,
    category text NOT NULL
    CONSTRAINT plan_category_is_known REFERENCES register.benefit_category,
    issued_on date NOT NULL,
    valid_from date NOT NULL,
    valid_to date NOT NULL,
    version integer NOT NULL DEFAULT 1 CHECK (version > 0),
    change_id bigint NOT NULL DEFAULT register.current_change(),
    recorded_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    CONSTRAINT service_plan_ends_after_start CHECK (valid_from <= valid_to),
    CONSTRAINT service_plan_of_its_citizen UNIQUE (record_id, citizen_id)
);

CREATE INDEX service_plan_citizen ON register.service_plan (citizen_id);

CREATE TABLE register.service_plan_line (
    record_id uuid PRIMARY KEY,
    plan_id uuid NOT NULL,
    citizen_id uuid NOT NULL,
    -- the class of item that the service's allowance is granted for
    item_class text NOT NULL CHECK (item_class <> ''),
    name text NOT NULL,
    -- how long one visit may take, and how often it comes
    norm_minutes smallint NOT NULL CHECK (norm_minutes BETWEEN 1 AND 1440),
    times smallint NOT NULL CHECK (times > 0),
    per text NOT NULL CHECK (per IN ('day', 'week', 'month', 'quarter', 'year', 'term')),
    version integer NOT NULL DEFAULT 1 CHECK (version > 0),
    change_id bigint NOT NULL DEFAULT register.current_change(),
    recorded_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    CONSTRAINT service_plan_line_once UNIQUE (plan_id, item_class),
    CONSTRAINT line_of_the_plans_citizen
    FOREIGN KEY (plan_id, citizen_id) REFERENCES register.service_plan (record_id, citizen_id)
    DEFERRABLE
);

CREATE INDEX service_plan_line_citizen ON register.service_plan_line (citizen_id);

CREATE TABLE register.rehabilitation_plan (
    record_id uuid PRIMARY KEY,
    number text NOT NULL CONSTRAINT rehabilitation_plan_number_once UNIQUE CHECK (number <> ''),
    citizen_id uuid NOT NULL REFERENCES register.citizen DEFERRABLE,
    -- the bureau of medical and social expertise (МСЭ)
    issued_by text NOT NULL,
    issued_on date NOT NULL,
    disability text NOT NULL CHECK (disability IN ('1', '2', '3', 'child')),
    valid_from date NOT NULL,
    -- NULL: for life
    valid_to date,
    version integer NOT NULL DEFAULT 1 CHECK (version > 0),
    change_id bigint NOT NULL DEFAULT register.current_change(),
    recorded_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    CONSTRAINT rehabilitation_plan_ends_after_start CHECK (valid_from <= valid_to),
    CONSTRAINT rehabilitation_plan_of_its_citizen UNIQUE (record_id, citizen_id)
);

CREATE INDEX rehabilitation_plan_citizen ON register.rehabilitation_plan (citizen_id);

CREATE TABLE register.rehabilitation_measure (
    record_id uuid PRIMARY KEY,
    plan_id uuid NOT NULL,
    citizen_id uuid NOT NULL,
    item_class text NOT NULL CHECK (item_class <> ''),
    name text NOT NULL,
    quantity integer NOT NULL CHECK (quantity > 0),
    executor text,
    valid_from date NOT NULL,
    valid_to date,
    version integer NOT NULL DEFAULT 1 CHECK (version > 0),
    change_id bigint NOT NULL DEFAULT register.current_change(),
    recorded_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    CONSTRAINT rehabilitation_measure_once UNIQUE (plan_id, item_class, valid_from),
    CONSTRAINT measure_ends_after_start CHECK (valid_from <= valid_to),
    CONSTRAINT measure_of_the_plans_citizen
    FOREIGN KEY (plan_id, citizen_id)
    REFERENCES register.rehabilitation_plan (record_id, citizen_id)
    DEFERRABLE
);

CREATE INDEX rehabilitation_measure_citizen ON register.rehabilitation_measure (citizen_id);

-- One medicine each (form 148-1/у-04(л)). Its key is also that of its allowance.
CREATE TABLE register.prescription (
    record_id uuid PRIMARY KEY,
    series text NOT NULL CHECK (series <> ''),
    number text NOT NULL CHECK (number <> ''),
    citizen_id uuid NOT NULL REFERENCES register.citizen DEFERRABLE,
    -- the medicine's INN (МНН), as the item class that an allowance is granted for
    item_class text NOT NULL CHECK (item_class <> ''),
    quantity bigint NOT NULL CHECK (quantity > 0),
    -- the diagnosis by МКБ-10
    mkb_code text CHECK (mkb_code ~ '^[A-Z][0-9]{2}(\.[0-9]{1,2})?$'),
    funding text NOT NULL CHECK (funding IN ('federal', 'regional', 'municipal')),
    -- what the citizen pays
    payment_percent smallint NOT NULL CHECK (payment_percent IN (0, 50)),
    prescribed_on date NOT NULL,
    valid_days smallint NOT NULL CHECK (valid_days IN (15, 30, 90)),
    valid_to date GENERATED ALWAYS AS (prescribed_on + valid_days) STORED,
    -- who prescribed it, and where
    doctor text,
    provider_code text,
    version integer NOT NULL DEFAULT 1 CHECK (version > 0),
    change_id bigint NOT NULL DEFAULT register.current_change(),
    recorded_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    -- the number leads, since people search by it
    CONSTRAINT prescription_number_once UNIQUE (number, series)
);

CREATE INDEX prescription_citizen ON register.prescription (citizen_id);

-- Its key is also that of its allowance.
CREATE TABLE register.certificate (
    record_id uuid PRIMARY KEY,
    number text NOT NULL CONSTRAINT certificate_number_once UNIQUE CHECK (number <> ''),
    citizen_id uuid NOT NULL REFERENCES register.citizen DEFERRABLE,
    measure text NOT NULL CONSTRAINT certificate_measure_is_known REFERENCES regulations.measure,
    -- the category that opened it
    category text NOT NULL
    CONSTRAINT certificate_category_is_known REFERENCES register.benefit_category,
    item_class text NOT NULL CHECK (item_class <> ''),
    amount_kopecks bigint NOT NULL CHECK (amount_kopecks > 0),
    decided_on date NOT NULL,
    valid_from date NOT NULL,
    valid_to date NOT NULL,
    version integer NOT NULL DEFAULT 1 CHECK (version > 0),
    change_id bigint NOT NULL DEFAULT register.current_change(),
    recorded_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    CONSTRAINT certificate_ends_after_start CHECK (valid_from <= valid_to)
);

CREATE INDEX certificate_citizen ON register.certificate (citizen_id);

CREATE TABLE register.personal_account (
    record_id uuid PRIMARY KEY,
    account_number text NOT NULL CHECK (account_number ~ '^[0-9A-ZА-Я/-]{4,20}$'),
    provider_code text NOT NULL CHECK (provider_code <> ''),
    household_id uuid NOT NULL REFERENCES register.household DEFERRABLE,
    -- of the dwelling, and the part of it that the norm covers, in hundredths of a square metre
    area_dm2 integer CHECK (area_dm2 > 0),
    norm_dm2 integer CHECK (norm_dm2 > 0),
    residents smallint CHECK (residents > 0),
    version integer NOT NULL DEFAULT 1 CHECK (version > 0),
    change_id bigint NOT NULL DEFAULT register.current_change(),
    recorded_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    -- the number leads, since people search by it
    CONSTRAINT account_of_one_household UNIQUE (account_number, provider_code)
);

CREATE INDEX personal_account_household ON register.personal_account (household_id);

CREATE TABLE register.policy (
    record_id uuid PRIMARY KEY,
    citizen_id uuid NOT NULL REFERENCES register.citizen DEFERRABLE,
    enp text NOT NULL CHECK (enp ~ '^[0-9]{16}$'),
    insurer text NOT NULL CHECK (insurer <> ''),
    -- the clinic that the citizen is attached to
    clinic_code text,
    valid_from date NOT NULL,
    -- NULL: without an end
    valid_to date,
    -- goes on for another year by itself when its end comes near
    prolongs boolean NOT NULL,
    version integer NOT NULL DEFAULT 1 CHECK (version > 0),
    change_id bigint NOT NULL DEFAULT register.current_change(),
    recorded_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    CONSTRAINT policy_stands_once UNIQUE (enp, valid_from),
    CONSTRAINT policy_ends_after_start CHECK (valid_from <= valid_to)
);

CREATE INDEX policy_citizen ON register.policy (citizen_id);
CREATE INDEX policy_to_prolong ON register.policy (valid_to) WHERE prolongs;

-- Its key is also that of its allowance.
CREATE TABLE register.school_meals (
    record_id uuid PRIMARY KEY,
    citizen_id uuid NOT NULL REFERENCES register.citizen DEFERRABLE,
    -- the school's code as a provider, and the class
    school_code text NOT NULL CHECK (school_code <> ''),
    school_class text,
    meal text NOT NULL CHECK (meal IN ('breakfast', 'lunch', 'breakfast_and_lunch')),
    -- the class of item that the school rings up
    item_class text NOT NULL CHECK (item_class <> ''),
    -- what pays for it, and the category that opens it
    measure text NOT NULL CONSTRAINT meals_measure_is_known REFERENCES regulations.measure,
    category text NOT NULL
    CONSTRAINT meals_category_is_known REFERENCES register.benefit_category,
    valid_from date NOT NULL,
    valid_to date NOT NULL,
    version integer NOT NULL DEFAULT 1 CHECK (version > 0),
    change_id bigint NOT NULL DEFAULT register.current_change(),
    recorded_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    CONSTRAINT meals_stand_once UNIQUE (citizen_id, valid_from),
    CONSTRAINT meals_end_after_start CHECK (valid_from <= valid_to)
);

-- A measure granted by a decision. The copy that transactions use is rights.entitlement, under the
-- same key.
CREATE TABLE register.entitlement (
    record_id uuid PRIMARY KEY,
    citizen_id uuid REFERENCES register.citizen DEFERRABLE,
    household_id uuid REFERENCES register.household DEFERRABLE,
    holder_id uuid GENERATED ALWAYS AS (coalesce(citizen_id, household_id)) STORED NOT NULL,
    measure text NOT NULL CONSTRAINT entitlement_measure_is_known REFERENCES regulations.measure,
    category text NOT NULL
    CONSTRAINT entitlement_category_is_known REFERENCES register.benefit_category,
    decision_number text NOT NULL CHECK (decision_number <> ''),
    decided_on date NOT NULL,
    valid_from date NOT NULL,
    valid_to date NOT NULL,
    version integer NOT NULL DEFAULT 1 CHECK (version > 0),
    change_id bigint NOT NULL DEFAULT register.current_change(),
    recorded_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    CONSTRAINT entitlement_of_one_holder CHECK ((citizen_id IS NULL) <> (household_id IS NULL)),
    CONSTRAINT entitlement_stands_once UNIQUE (holder_id, measure, valid_from),
    CONSTRAINT entitlement_ends_after_start CHECK (valid_from <= valid_to)
);

CREATE INDEX entitlement_citizen ON register.entitlement (citizen_id)
WHERE citizen_id IS NOT NULL;
CREATE INDEX entitlement_household ON register.entitlement (household_id)
WHERE household_id IS NOT NULL;

-- 21_register_rules.sql
-- What holds for every kind of record: versions, history, and the rules among several records.

-- Refuses that somebody represents, over others, themselves: A for B, B for C, C for A. All links
-- of such a ring would have to be in force together with the new one. Writers wait for each other.
CREATE FUNCTION register.refuse_representation_ring() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(tg_relid::oid::integer, -1);
    IF EXISTS (
        WITH RECURSIVE chain AS (
            SELECT
                a.citizen_id AS start_id, a.representative_id AS reached_id,
                a.valid_from, coalesce(a.valid_to, 'infinity'::date) AS valid_to
            FROM after AS a
            UNION
            SELECT
                c.start_id, r.representative_id,
                greatest(c.valid_from, r.valid_from),
                least(c.valid_to, coalesce(r.valid_to, 'infinity'::date))
            FROM chain AS c
            INNER JOIN register.representative AS r ON c.reached_id = r.citizen_id
            WHERE
                c.reached_id <> c.start_id
                AND c.valid_from <= coalesce(r.valid_to, 'infinity'::date)
                AND r.valid_from <= c.valid_to
        )
        SELECT FROM chain WHERE start_id = reached_id
    ) THEN
        RAISE EXCEPTION 'a ring of representatives'
            USING ERRCODE = 'exclusion_violation', CONSTRAINT = 'no_representation_ring',
            SCHEMA = tg_table_schema, TABLE = tg_table_name;
    END IF;
    RETURN NULL;
END
$$;

-- Refuses that somebody is, over several households, a child of their own child: in one household
-- the child of a head or spouse who in another one is the child of that person.
CREATE FUNCTION register.refuse_household_ring() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(tg_relid::oid::integer, -1);
    IF EXISTS (
        WITH RECURSIVE parent AS (
            SELECT c.citizen_id AS start_id, p.citizen_id AS reached_id
            FROM (SELECT DISTINCT a.household_id FROM after AS a) AS h
            INNER JOIN register.household_member AS c
                ON h.household_id = c.household_id AND c.relation = 'child'
            INNER JOIN register.household_member AS p
                ON h.household_id = p.household_id AND p.relation IN ('head', 'spouse')
            UNION
            SELECT a.start_id, p.citizen_id
            FROM parent AS a
            INNER JOIN register.household_member AS c
                ON a.reached_id = c.citizen_id AND c.relation = 'child'
            INNER JOIN register.household_member AS p
                ON c.household_id = p.household_id AND p.relation IN ('head', 'spouse')
            WHERE a.reached_id <> a.start_id
        )
        SELECT FROM parent WHERE start_id = reached_id
    ) THEN
        RAISE EXCEPTION 'a ring of households'
            USING ERRCODE = 'exclusion_violation', CONSTRAINT = 'no_household_ring',
            SCHEMA = tg_table_schema, TABLE = tg_table_name;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER no_ring_insert AFTER INSERT ON register.representative
REFERENCING NEW TABLE AS after
FOR EACH STATEMENT EXECUTE FUNCTION register.refuse_representation_ring();
CREATE TRIGGER no_ring_update AFTER UPDATE ON register.representative
REFERENCING NEW TABLE AS after
FOR EACH STATEMENT EXECUTE FUNCTION register.refuse_representation_ring();
CREATE TRIGGER no_ring_insert AFTER INSERT ON register.household_member
REFERENCING NEW TABLE AS after
FOR EACH STATEMENT EXECUTE FUNCTION register.refuse_household_ring();
CREATE TRIGGER no_ring_update AFTER UPDATE ON register.household_member
REFERENCING NEW TABLE AS after
FOR EACH STATEMENT EXECUTE FUNCTION register.refuse_household_ring();

-- Every kind keeps its history and can be found by the change that made its rows.
DO $$
DECLARE
    one record;
BEGIN
    FOR one IN SELECT k.* FROM register.record_kind AS k ORDER BY k.rank LOOP
        EXECUTE format(
            'CREATE INDEX %1$I ON register.%2$I (change_id)',
            one.table_name || '_change', one.table_name
        );
        EXECUTE format(
            'CREATE TRIGGER next_version BEFORE UPDATE ON register.%I'
            ' FOR EACH ROW EXECUTE FUNCTION register.next_version()', one.table_name
        );
        EXECUTE format(
            'CREATE TRIGGER keep_superseded AFTER UPDATE ON register.%I'
            ' REFERENCING OLD TABLE AS before'
            ' FOR EACH STATEMENT EXECUTE FUNCTION register.keep_history(%L, %L)',
            one.table_name, one.kind, one.key_column
        );
        EXECUTE format(
            'CREATE TRIGGER keep_removed AFTER DELETE ON register.%I'
            ' REFERENCING OLD TABLE AS before'
            ' FOR EACH STATEMENT EXECUTE FUNCTION register.keep_history(%L, %L)',
            one.table_name, one.kind, one.key_column
        );
        EXECUTE format(
            'CREATE TRIGGER no_truncate BEFORE TRUNCATE ON register.%I'
            ' FOR EACH STATEMENT EXECUTE FUNCTION register.refuse_rewriting()', one.table_name
        );
    END LOOP;
END
$$;

-- Of these there is one at a time: the rule's name, the table, whose, and the period's columns.
DO $$
DECLARE
    one record;
    event text;
BEGIN
    FOR one IN
        SELECT r.* FROM (VALUES
            ('representatives_overlap', 'representative', 'citizen_id,representative_id'),
            ('circumstances_overlap', 'circumstance', 'citizen_id,circumstance'),
            ('categories_overlap', 'citizen_category', 'citizen_id,category'),
            ('service_plans_overlap', 'service_plan', 'citizen_id,form'),
            ('policies_overlap', 'policy', 'citizen_id'),
            ('meals_overlap', 'school_meals', 'citizen_id'),
            ('entitlements_overlap', 'entitlement', 'holder_id,measure')
        ) AS r (rule, table_name, subject)
    LOOP
        FOREACH event IN ARRAY ARRAY['INSERT', 'UPDATE'] LOOP
            EXECUTE format(
                'CREATE TRIGGER %I AFTER %s ON register.%I REFERENCING NEW TABLE AS after'
                ' FOR EACH STATEMENT EXECUTE FUNCTION'
                ' register.refuse_overlap(%L, ''record_id'', %L, ''valid_from'', ''valid_to'')',
                'one_at_a_time_' || lower(event), event, one.table_name, one.rule, one.subject
            );
        END LOOP;
    END LOOP;
END
$$;

-- 22_register_import.sql
-- Files of records that were taken into the register. A file is taken in chunks, a transaction
-- each, so that an import can be stopped at any moment and gone on with. Every row of the file has
-- its fate in import_row; the sums stand in import_chunk and are checked there.

-- Edit distances between names; an extension that every PostgreSQL brings and its owner may add.
CREATE EXTENSION IF NOT EXISTS fuzzystrmatch SCHEMA register;

-- How rows of a file are matched with records: the columns that are the same in every file that
-- tells of the same record, and the columns that hold another record's key, with that record's kind
-- and the column by which files name it. processing.register.records says the same; a test holds
-- them equal.
CREATE TABLE register.import_kind (
    kind text PRIMARY KEY REFERENCES register.record_kind,
    match_columns text[] NOT NULL,
    reference_columns text[] NOT NULL,
    reference_kinds text[] NOT NULL,
    reference_by text[] NOT NULL
);

INSERT INTO register.import_kind (
    kind, match_columns, reference_columns, reference_kinds, reference_by
) VALUES
('citizen', '{snils}', '{}', '{}', '{}'),
(
    'identity_document', '{document_type, series, number}',
    '{citizen_id}', '{citizen}', '{snils}'
),
('address', '{citizen_id, address_kind}', '{citizen_id}', '{citizen}', '{snils}'),
('contact', '{citizen_id, channel, value}', '{citizen_id}', '{citizen}', '{snils}'),
('consent', '{citizen_id, scope, given_on}', '{citizen_id}', '{citizen}', '{snils}'),
(
    'representative', '{citizen_id, representative_id, valid_from}',
    '{citizen_id, representative_id}', '{citizen, citizen}', '{snils, snils}'
),
('household', '{number}', '{}', '{}', '{}'),
(
    'household_member', '{household_id, citizen_id}',
    '{household_id, citizen_id}', '{household, citizen}', '{number, snils}'
),
('income', '{citizen_id, month, income_kind, payer}', '{citizen_id}', '{citizen}', '{snils}'),
(
    'circumstance', '{citizen_id, circumstance, valid_from}',
    '{citizen_id}', '{citizen}', '{snils}'
),
('category', '{citizen_id, category, valid_from}', '{citizen_id}', '{citizen}', '{snils}'),
(
    'life_event', '{citizen_id, event, happened_on, related_citizen_id}',
    '{citizen_id, related_citizen_id}', '{citizen, citizen}', '{snils, snils}'
),
('service_plan', '{number}', '{citizen_id}', '{citizen}', '{snils}'),
(
    'service_plan_line', '{plan_id, item_class}',
    '{plan_id, citizen_id}', '{service_plan, citizen}', '{number, snils}'
),
('rehabilitation_plan', '{number}', '{citizen_id}', '{citizen}', '{snils}'),
(
    'rehabilitation_measure', '{plan_id, item_class, valid_from}',
    '{plan_id, citizen_id}', '{rehabilitation_plan, citizen}', '{number, snils}'
),
('prescription', '{series, number}', '{citizen_id}', '{citizen}', '{snils}'),
('certificate', '{number}', '{citizen_id}', '{citizen}', '{snils}'),
(
    'personal_account', '{account_number, provider_code}',
    '{household_id}', '{household}', '{number}'
),
('policy', '{enp, valid_from}', '{citizen_id}', '{citizen}', '{snils}'),
('school_meals', '{citizen_id, valid_from}', '{citizen_id}', '{citizen}', '{snils}'),
-- holder_id is the citizen or, failing that, the household
(
    'entitlement', '{holder_id, measure, valid_from}',
    '{citizen_id, household_id}', '{citizen, household}', '{snils, number}'
);

CREATE TABLE register.import (
    import_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL REFERENCES register.import_kind,
    -- who the file is from: with its hash the file's identity
    source text NOT NULL CHECK (source <> ''),
    file_name text NOT NULL,
    file_sha256 bytea NOT NULL CHECK (octet_length(file_sha256) = 32),
    -- how the file is read, and its first rows: what continuing and giving back rows needs
    form jsonb NOT NULL,
    header jsonb NOT NULL,
    opening bytea NOT NULL,
    -- reading: rows are being taken. proposed: another person has to approve. applying: approved,
    -- being written. done, refused, undone: over.
    state text NOT NULL CHECK (
        state IN ('reading', 'proposed', 'applying', 'done', 'refused', 'undone')
    ),
    started_by text NOT NULL CHECK (started_by <> ''),
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz,
    decided_by text CHECK (decided_by <> ''),
    decided_at timestamptz,
    decision_reason text,
    -- what it wrote, and what took that back
    change_id bigint REFERENCES register.change,
    undone_by bigint REFERENCES register.change,
    CONSTRAINT another_person_decides_import CHECK (decided_by <> started_by),
    CHECK ((decided_by IS NULL) = (decided_at IS NULL)),
    CHECK (state <> 'undone' OR undone_by IS NOT NULL),
    CHECK ((ended_at IS NULL) = (state IN ('reading', 'proposed', 'applying')))
);

CREATE INDEX import_file ON register.import (file_sha256, source, kind);

CREATE TABLE register.import_chunk (
    import_id bigint NOT NULL REFERENCES register.import,
    chunk integer NOT NULL CHECK (chunk > 0),
    first_line integer NOT NULL,
    last_line integer NOT NULL,
    -- records of the file that are now behind, blank ones among them
    record_count integer NOT NULL CHECK (record_count > 0),
    blank_count integer NOT NULL CHECK (blank_count >= 0),
    row_count integer NOT NULL CHECK (row_count >= 0),
    created_count integer NOT NULL CHECK (created_count >= 0),
    changed_count integer NOT NULL CHECK (changed_count >= 0),
    unchanged_count integer NOT NULL CHECK (unchanged_count >= 0),
    rejected_count integer NOT NULL CHECK (rejected_count >= 0),
    -- of the rejected: rows that a person's decision can still bring in
    waiting_count integer NOT NULL CHECK (waiting_count BETWEEN 0 AND rejected_count),
    -- whether the rows are in the register; of an import to be approved, when it is applied
    is_written boolean NOT NULL,
    taken_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (import_id, chunk),
    CONSTRAINT no_row_is_lost CHECK (
        row_count = created_count + changed_count + unchanged_count + rejected_count
    ),
    CONSTRAINT no_record_is_lost CHECK (record_count = row_count + blank_count)
);

-- The fate of each row of a file.
CREATE TABLE register.import_row (
    import_id bigint NOT NULL,
    line integer NOT NULL CHECK (line > 0),
    outcome text NOT NULL CHECK (
        outcome IN ('created', 'changed', 'unchanged', 'rejected', 'waiting')
    ),
    -- a hash of the values that identify the record in files; NULL where the row could not be read
    key uuid,
    record_id uuid,
    PRIMARY KEY (import_id, line)
);

-- the line, too: or the planner may take the primary key and walk from the file's first row
CREATE INDEX import_row_key ON register.import_row (import_id, key, line) WHERE key IS NOT NULL;

-- Rows that were not taken, or wait for a decision: as they came, and what is wrong with them.
CREATE TABLE register.import_reject (
    import_id bigint NOT NULL,
    line integer NOT NULL,
    kept bytea NOT NULL,
    faults jsonb NOT NULL,
    PRIMARY KEY (import_id, line),
    FOREIGN KEY (import_id, line) REFERENCES register.import_row
);

-- Sound rows that are not in the register yet: all of an import to be approved, and those that
-- wait for a decision. `kept` as in import_reject.
CREATE TABLE register.import_staged (
    import_id bigint NOT NULL,
    line integer NOT NULL,
    key text NOT NULL,
    body jsonb NOT NULL,
    named jsonb NOT NULL,
    kept bytea,
    PRIMARY KEY (import_id, line),
    FOREIGN KEY (import_id, line) REFERENCES register.import_row
);

-- Records that a waiting row may be about: why, and how likely, in percent.
CREATE TABLE register.import_candidate (
    import_id bigint NOT NULL,
    line integer NOT NULL,
    record_id uuid NOT NULL,
    reasons text[] NOT NULL,
    score smallint NOT NULL CHECK (score BETWEEN 0 AND 100),
    PRIMARY KEY (import_id, line, record_id),
    FOREIGN KEY (import_id, line) REFERENCES register.import_row
);

-- What a person decided about a waiting row. same: it is about `record_id`, which it changes;
-- other: about nobody known yet; skip: it is not taken.
CREATE TABLE register.import_decision (
    import_id bigint NOT NULL,
    line integer NOT NULL,
    decision text NOT NULL CHECK (decision IN ('same', 'other', 'skip')),
    record_id uuid,
    decided_by text NOT NULL CHECK (decided_by <> ''),
    decided_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    reason text NOT NULL CHECK (reason <> ''),
    PRIMARY KEY (import_id, line),
    CHECK ((decision = 'same') = (record_id IS NOT NULL)),
    FOREIGN KEY (import_id, line) REFERENCES register.import_row
);

-- Which column of a source's files is which field, as a person confirmed it: field by the column's
-- plain name, an empty field for a column that is not taken.
CREATE TABLE register.import_mapping (
    source text NOT NULL CHECK (source <> ''),
    kind text NOT NULL REFERENCES register.import_kind,
    columns jsonb NOT NULL,
    confirmed_by text NOT NULL CHECK (confirmed_by <> ''),
    confirmed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (source, kind)
);

-- Duplicates are looked for among people born on one day whose first names begin alike, and among
-- those of one full name.
CREATE INDEX citizen_born ON register.citizen (birth_date, left(first_name, 1));
CREATE INDEX citizen_named ON register.citizen (
    hashtext(last_name || ' ' || first_name || ' ' || coalesce(patronymic, ''))
);

-- 24_register_search.sql
-- How people are found by what is on a paper or in somebody's memory. Names repeat: a million
-- people have some ten thousand surnames. So what is typed, with its typos, is first looked up
-- among the different words, and these then lead to the people by ordinary indexes; a trigram index
-- over all people would cost more to fill than everything else, and find thousands of a name.

CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA register;

-- A name as it is compared: lower case, ё as е, hyphens and full stops as spaces, no apostrophes.
-- The letters are spelled out, since what `lower` does depends on the server's locale and indexes
-- rest on this.
CREATE FUNCTION register.name_key(p_text text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN translate(
    p_text,
    'АБВГДЕЁЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯё-.ABCDEFGHIJKLMNOPQRSTUVWXYZ''’',
    'абвгдеежзийклмнопрстуфхцчшщъыьэюяе  abcdefghijklmnopqrstuvwxyz'
);

-- An address as it is compared: its words and numbers, each once.
CREATE FUNCTION register.address_words(p_line text) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN array_to_tsvector(array_remove(
    string_to_array(translate(register.name_key(p_line), ',;:/()"«»№', '          '), ' '), ''
));

-- Every different last name, first name and patronymic, and every different word of an address.
CREATE TABLE register.name_word (
    part text NOT NULL CHECK (part IN ('last', 'first', 'patronymic', 'address')),
    word text NOT NULL,
    PRIMARY KEY (part, word)
);

-- A word's letters one for one in ASCII. What pg_trgm takes for a letter depends on the server's
-- locale: under one named C, no Russian letter is one, and no word would be like another.
CREATE FUNCTION register.in_ascii(p_word text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN translate(p_word, 'абвгдежзийклмнопрстуфхцчшщъыьэюя', 'abvgdejziyklmnoprstufhcqwx012345');

CREATE INDEX name_word_typos ON register.name_word
USING gin (register.in_ascii(word) register.gin_trgm_ops);

-- A word and what is left of it when any one letter is left out, as hashes. Two words that share
-- one are a slip of the pen apart: a letter wrong, missing, added, or exchanged with the next. Not
-- in SQL, which takes ten times as long to begin a query for each word.
CREATE FUNCTION register.slips(p_word text) RETURNS integer[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
DECLARE
    found integer[] := ARRAY[hashtext(p_word)];
BEGIN
    FOR letter IN 1..length(p_word) LOOP
        found := found || hashtext(overlay(p_word PLACING '' FROM letter FOR 1));
    END LOOP;
    RETURN found;
END
$$;

CREATE INDEX name_word_slips ON register.name_word USING gin (register.slips(word));

CREATE INDEX citizen_by_last_name ON register.citizen (
    register.name_key(last_name), register.name_key(first_name), birth_date, citizen_id
);
CREATE INDEX citizen_by_first_name ON register.citizen (
    register.name_key(first_name), register.name_key(patronymic), birth_date, citizen_id
);
CREATE INDEX citizen_by_birth_date ON register.citizen (
    birth_date, register.name_key(last_name), citizen_id
);
CREATE INDEX contact_by_value ON register.contact (value);
CREATE INDEX address_by_word ON register.address USING gin (register.address_words(line));
CREATE INDEX household_by_word ON register.household USING gin (register.address_words(address));

-- Keep the different words. Those that are there already, nearly all, cost a look-up only.
CREATE FUNCTION register.keep_name_words() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    INSERT INTO register.name_word (part, word)
    SELECT DISTINCT w.part, w.word
    FROM after AS a
    CROSS JOIN LATERAL (VALUES
        ('last', register.name_key(a.last_name)),
        ('first', register.name_key(a.first_name)),
        ('patronymic', register.name_key(a.patronymic))
    ) AS w (part, word)
    WHERE w.word IS NOT NULL AND NOT EXISTS (
        SELECT FROM register.name_word AS n WHERE n.part = w.part AND n.word = w.word
    )
    ORDER BY 1, 2
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;

-- The same for addresses; the argument is their column. Numbers have no typos to be looked up.
CREATE FUNCTION register.keep_address_words() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    EXECUTE format(
        'INSERT INTO register.name_word (part, word)'
        ' SELECT ''address'', w.word FROM ('
        'SELECT DISTINCT unnest(tsvector_to_array(register.address_words(a.%I))) AS word'
        ' FROM after AS a) AS w'
        ' WHERE length(w.word) > 3 AND w.word !~ ''[0-9]'' AND NOT EXISTS ('
        'SELECT FROM register.name_word AS n WHERE n.part = ''address'' AND n.word = w.word)'
        ' ORDER BY w.word ON CONFLICT DO NOTHING',
        tg_argv[0]
    );
    RETURN NULL;
END
$$;

DO $$
DECLARE
    event text;
BEGIN
    FOREACH event IN ARRAY ARRAY['INSERT', 'UPDATE'] LOOP
        EXECUTE format(
            'CREATE TRIGGER keep_words_%1$s AFTER %1$s ON register.citizen'
            ' REFERENCING NEW TABLE AS after'
            ' FOR EACH STATEMENT EXECUTE FUNCTION register.keep_name_words()', lower(event)
        );
        EXECUTE format(
            'CREATE TRIGGER keep_words_%1$s AFTER %1$s ON register.address'
            ' REFERENCING NEW TABLE AS after'
            ' FOR EACH STATEMENT EXECUTE FUNCTION register.keep_address_words(''line'')',
            lower(event)
        );
        EXECUTE format(
            'CREATE TRIGGER keep_words_%1$s AFTER %1$s ON register.household'
            ' REFERENCING NEW TABLE AS after'
            ' FOR EACH STATEMENT EXECUTE FUNCTION register.keep_address_words(''address'')',
            lower(event)
        );
    END LOOP;
END
$$;

-- 26_eligibility.sql
-- Who may have a measure: rules as they were published, what they were asked, what followed.
-- Personal data as the register itself: closed to the processing role.
CREATE SCHEMA eligibility;
COMMENT ON SCHEMA eligibility IS 'Rules of eligibility, applications, reminders. Personal data.';

-- The region's amounts that incomes are compared with. Each is set for a day on and never edited:
-- a later day has the later amount.
CREATE TABLE eligibility.parameter (
    parameter text PRIMARY KEY CHECK (parameter ~ '^[A-Z0-9][A-Z0-9.-]{0,15}$'),
    name_ru text NOT NULL,
    name_en text NOT NULL
);

INSERT INTO eligibility.parameter (parameter, name_ru, name_en) VALUES
('PM', 'прожиточный минимум на душу населения', 'subsistence minimum per head'),
('PM.WORKING', 'прожиточный минимум трудоспособных', 'subsistence minimum of the working'),
('PM.PENSION', 'прожиточный минимум пенсионеров', 'subsistence minimum of pensioners'),
('PM.CHILD', 'прожиточный минимум детей', 'subsistence minimum of children');

CREATE TABLE eligibility.amount (
    region smallint NOT NULL REFERENCES regulations.region,
    parameter text NOT NULL REFERENCES eligibility.parameter,
    valid_from date NOT NULL,
    amount_kopecks bigint NOT NULL CHECK (amount_kopecks BETWEEN 1 AND 999999999999),
    -- the act that sets it
    basis text NOT NULL CHECK (basis <> ''),
    set_by text NOT NULL CHECK (set_by <> ''),
    set_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    PRIMARY KEY (region, parameter, valid_from)
);

-- The document behind a version of a rule, as it was proposed and approved. It is never edited: a
-- change, and a way back too, is a new version.
CREATE TABLE eligibility.document (
    measure text NOT NULL REFERENCES regulations.measure,
    version integer NOT NULL CHECK (version > 0),
    -- the TOML text as the agency wrote it, and its SHA-256
    body bytea NOT NULL,
    body_sha256 bytea NOT NULL CHECK (body_sha256 = sha256(body)),
    valid_from date NOT NULL,
    valid_to date NOT NULL,
    proposed_by text NOT NULL CHECK (proposed_by <> ''),
    proposed_at timestamptz NOT NULL,
    approved_by text,
    approved_at timestamptz,
    PRIMARY KEY (measure, version),
    CONSTRAINT another_person_approves CHECK (approved_by <> proposed_by),
    CHECK ((approved_by IS NULL) = (approved_at IS NULL)),
    CHECK (valid_from <= valid_to)
);

-- The facts of people on a day, a row each: what rules compare (eligibility.facts). NULL: not
-- known. Rows stay only while a million are asked about at once; a crash may lose them.
CREATE UNLOGGED TABLE eligibility.fact (
    citizen_id uuid PRIMARY KEY,
    household_id uuid,
    region smallint NOT NULL,
    birth_date date,
    sex text,
    -- {category: last day} of those held
    categories jsonb,
    -- dates of birth of all members of the household
    household_births date[],
    -- of the household, in a month
    income_kopecks bigint,
    resident boolean,
    pregnant boolean,
    employed boolean,
    pensioner boolean,
    -- {event: its latest day}
    events jsonb,
    -- held on the day, and on any day of its year
    measures text[],
    year_measures text[],
    -- kinds of other records in force
    records text[]
);

-- One going over people: after life events, or over everybody with a question.
CREATE TABLE eligibility.run (
    run_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    day date NOT NULL,
    purpose text NOT NULL CHECK (purpose <> ''),
    started_by text NOT NULL CHECK (started_by <> ''),
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz,
    people integer NOT NULL DEFAULT 0,
    -- who granted the rights that wait for a person in this run
    approved_by text,
    approved_at timestamptz,
    CONSTRAINT another_person_approves CHECK (approved_by <> started_by),
    CHECK ((approved_by IS NULL) = (approved_at IS NULL))
);

-- A life event that was looked at, in which version: so that it is looked at once.
CREATE TABLE eligibility.seen_event (
    event_id uuid PRIMARY KEY,
    event_version integer NOT NULL,
    run_id bigint NOT NULL REFERENCES eligibility.run
);

CREATE TABLE eligibility.application (
    application_id uuid PRIMARY KEY,
    citizen_id uuid NOT NULL REFERENCES register.citizen,
    -- whose right it becomes, where it is the household's
    household_id uuid REFERENCES register.household,
    measure text NOT NULL,
    rule_version integer NOT NULL,
    state text NOT NULL
    CHECK (state IN ('drafted', 'offered', 'submitted', 'decided', 'refused', 'withdrawn')),
    -- a right that comes unasked; a person approves it with its run
    proactive boolean NOT NULL,
    -- why it was made: a life event in this version, or NULL: the citizen asked
    event_id uuid,
    event_version integer,
    run_id bigint REFERENCES eligibility.run,
    -- the day that the facts are of, the rule's answer and its clauses one by one
    day date NOT NULL,
    answer text NOT NULL CHECK (answer IN ('yes', 'no', 'not known')),
    trace jsonb NOT NULL,
    -- facts that nobody holds yet
    missing text[] NOT NULL,
    -- {choice: option}, the citizen's
    choices jsonb NOT NULL DEFAULT '{}',
    -- until when the citizen may answer an offer, and the agency must decide
    answer_by date,
    decide_by date,
    made_by text NOT NULL CHECK (made_by <> ''),
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    submitted_by text,
    decided_by text,
    decided_at timestamptz,
    decision_number text,
    -- in words, of a refusal or withdrawal
    reason text,
    entitlement_id uuid,
    FOREIGN KEY (measure, rule_version) REFERENCES eligibility.document (measure, version),
    -- an event brings each measure once to each person, however often it is looked at
    CONSTRAINT once_per_event UNIQUE (citizen_id, measure, event_id),
    CONSTRAINT another_person_decides
    CHECK (decided_by <> made_by AND decided_by <> coalesce(submitted_by, '')),
    CHECK ((event_id IS NULL) = (event_version IS NULL)),
    CHECK ((state IN ('decided', 'refused')) = (decided_by IS NOT NULL)),
    CHECK ((state = 'decided') = (entitlement_id IS NOT NULL)),
    CHECK ((state = 'decided') = (decision_number IS NOT NULL)),
    CHECK (state NOT IN ('refused', 'withdrawn') OR reason <> ''),
    CHECK (state <> 'submitted' OR decide_by IS NOT NULL)
);

-- A person has one open application for a measure at a time.
CREATE UNIQUE INDEX one_open_application ON eligibility.application (citizen_id, measure)
WHERE state IN ('drafted', 'offered', 'submitted');
CREATE UNIQUE INDEX one_open_application_of_household
ON eligibility.application (household_id, measure)
WHERE household_id IS NOT NULL AND state IN ('drafted', 'offered', 'submitted');
CREATE INDEX application_open ON eligibility.application (state, application_id)
WHERE state IN ('drafted', 'offered', 'submitted');
CREATE INDEX application_run ON eligibility.application (run_id);
CREATE INDEX application_event ON eligibility.application (event_id) WHERE event_id IS NOT NULL;

-- Every state that an application was in: who brought it there, and when.
CREATE TABLE eligibility.application_step (
    application_id uuid NOT NULL REFERENCES eligibility.application,
    step smallint NOT NULL CHECK (step > 0),
    state text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    by text NOT NULL CHECK (by <> ''),
    reason text,
    PRIMARY KEY (application_id, step)
);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON eligibility.application_step
FOR EACH ROW EXECUTE FUNCTION register.refuse_rewriting();

CREATE SEQUENCE eligibility.decision_number;

-- What a corrected or withdrawn event leaves for a person to look at.
CREATE TABLE eligibility.follow_up (
    application_id uuid NOT NULL REFERENCES eligibility.application,
    -- 0: the event is gone
    event_version integer NOT NULL CHECK (event_version >= 0),
    -- the event was corrected, or is gone
    what text NOT NULL CHECK (what IN ('corrected', 'withdrawn')),
    opened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    closed_by text,
    closed_at timestamptz,
    resolution text,
    PRIMARY KEY (application_id, event_version),
    CHECK ((closed_by IS NULL) = (closed_at IS NULL)),
    CHECK (closed_by IS NULL OR resolution <> '')
);

CREATE INDEX follow_up_open ON eligibility.follow_up (opened_at) WHERE closed_by IS NULL;

-- What a citizen is to be told of: something of theirs ends soon. The outbox of notifications.
CREATE TABLE register.reminder (
    reminder_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    citizen_id uuid NOT NULL REFERENCES register.citizen,
    kind text NOT NULL REFERENCES register.record_kind,
    record_id uuid NOT NULL,
    ends_on date NOT NULL,
    -- how many days before its end it was due
    days_before smallint NOT NULL CHECK (days_before >= 0),
    -- the citizen's preferred one; NULL: none is known
    channel text,
    contact_id uuid,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    sent_at timestamptz,
    -- a record whose end moved is told of anew
    CONSTRAINT reminded_once UNIQUE (kind, record_id, ends_on, days_before, citizen_id)
);

CREATE INDEX reminder_unsent ON register.reminder (reminder_id) WHERE sent_at IS NULL;

-- Functions alone reach these tables; they run as the owner and log who reads whom.
GRANT USAGE ON SCHEMA eligibility TO spk_register;
GRANT SELECT ON eligibility.fact TO spk_register;
ALTER DEFAULT PRIVILEGES IN SCHEMA eligibility GRANT EXECUTE ON FUNCTIONS TO spk_register;

-- 28_exchange.sql
-- Exchange with other agencies: DCI messages of the register, files of ЕГИССО.
-- A message holds personal data only while it is under way: once delivered, its body is erased.

CREATE TABLE exchange.peer (
    peer_id text PRIMARY KEY CHECK (peer_id ~ '^[A-Za-z0-9][A-Za-z0-9._:-]{0,98}$'),
    name text NOT NULL CHECK (name <> ''),
    -- the public keys (RFC 7517) that its messages are checked with
    jwks jsonb NOT NULL,
    token_sha256 bytea NOT NULL CHECK (octet_length(token_sha256) = 32),
    -- where its answers go, and where its own registry listens; NULL: nowhere
    callback_uri text,
    registry_uri text,
    -- how messages to it are signed
    algorithm text NOT NULL CHECK (algorithm IN ('ed25519', 'ES256')),
    -- the parts of a record that it may ask for and be told
    parts text[] NOT NULL,
    messages_per_minute integer NOT NULL CHECK (messages_per_minute BETWEEN 1 AND 60000),
    active boolean NOT NULL DEFAULT TRUE
);

-- What it may ask for. Where consent is needed, only those are told of who gave it (scope exchange
-- of register.consent).
CREATE TABLE exchange.peer_purpose (
    peer_id text NOT NULL REFERENCES exchange.peer,
    purpose text NOT NULL CHECK (purpose ~ '^[A-Za-z0-9][A-Za-z0-9._:-]{0,49}$'),
    needs_consent boolean NOT NULL,
    PRIMARY KEY (peer_id, purpose)
);

-- Messages taken lately, so that none is taken twice. Older ones are refused by their time.
CREATE TABLE exchange.message (
    peer_id text NOT NULL REFERENCES exchange.peer,
    message_id text NOT NULL,
    correlation_id text NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (peer_id, message_id)
);

CREATE INDEX message_received ON exchange.message (received_at);

-- What became of each search and subscription. Of what was found only the ids are kept.
CREATE TABLE exchange.request (
    peer_id text NOT NULL REFERENCES exchange.peer,
    correlation_id text NOT NULL,
    ordinal integer NOT NULL,
    txn_type text NOT NULL CHECK (txn_type IN ('search', 'subscribe')),
    transaction_id text NOT NULL,
    reference_id text NOT NULL,
    received_at timestamptz NOT NULL,
    status text NOT NULL,
    reason text,
    reason_message text,
    page_size integer,
    page_number integer,
    total_count integer,
    record_ids uuid[],
    PRIMARY KEY (peer_id, correlation_id, ordinal)
);

CREATE INDEX request_transaction ON exchange.request (peer_id, transaction_id);
CREATE INDEX request_reference ON exchange.request (peer_id, reference_id);
CREATE INDEX request_received ON exchange.request (received_at);

CREATE TABLE exchange.subscription (
    code uuid PRIMARY KEY,
    peer_id text NOT NULL REFERENCES exchange.peer,
    transaction_id text NOT NULL,
    event text NOT NULL CHECK (event IN ('REGISTER', 'NewHouseHoldMember')),
    entity text NOT NULL CHECK (entity IN ('Member', 'Group')),
    purpose text NOT NULL,
    condition jsonb NOT NULL,
    locale text NOT NULL,
    -- when it is to be told of; NULL frequency: at once
    starts_at timestamptz,
    ends_at timestamptz,
    frequency text,
    next_at timestamptz NOT NULL,
    subscribed_at timestamptz NOT NULL,
    unsubscribed_at timestamptz
);

CREATE UNIQUE INDEX subscribed_once ON exchange.subscription (
    peer_id, event, entity, md5(condition::text)
) WHERE unsubscribed_at IS NULL;
CREATE INDEX subscription_due ON exchange.subscription (next_at) WHERE unsubscribed_at IS NULL;

-- Of whom subscribers are to be told: as the register learned it, and as each subscription waits
-- for it. Written in the very transaction that changes the register.
CREATE TABLE exchange.news (
    news_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event text NOT NULL,
    citizen_id uuid NOT NULL
);

CREATE TABLE exchange.subscribed_news (
    code uuid NOT NULL REFERENCES exchange.subscription,
    citizen_id uuid NOT NULL,
    PRIMARY KEY (code, citizen_id)
);

-- Argument: the event. While nobody is subscribed to it, an import of a million costs one look.
CREATE FUNCTION exchange.keep_news() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF EXISTS (
        SELECT FROM exchange.subscription AS s
        WHERE s.event = tg_argv[0] AND s.unsubscribed_at IS NULL
    ) THEN
        INSERT INTO exchange.news (event, citizen_id)
        SELECT tg_argv[0], a.citizen_id FROM after AS a;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER news_of_new AFTER INSERT ON register.citizen REFERENCING NEW TABLE AS after
FOR EACH STATEMENT EXECUTE FUNCTION exchange.keep_news('REGISTER');
CREATE TRIGGER news_of_changed AFTER UPDATE ON register.citizen REFERENCING NEW TABLE AS after
FOR EACH STATEMENT EXECUTE FUNCTION exchange.keep_news('REGISTER');
CREATE TRIGGER news_of_member AFTER INSERT ON register.household_member
REFERENCING NEW TABLE AS after
FOR EACH STATEMENT EXECUTE FUNCTION exchange.keep_news('NewHouseHoldMember');

-- Messages to others, until they are taken.
CREATE TABLE exchange.outbox (
    message_id uuid PRIMARY KEY,
    peer_id text NOT NULL REFERENCES exchange.peer,
    action text NOT NULL,
    uri text NOT NULL,
    -- header and message as they will be signed; erased when the message was taken or given up
    header bytea,
    message bytea,
    queued_at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    next_at timestamptz NOT NULL,
    delivered_at timestamptz,
    dead_at timestamptz,
    fault text,
    CHECK (delivered_at IS NULL OR dead_at IS NULL)
);

CREATE INDEX outbox_due ON exchange.outbox (next_at)
WHERE delivered_at IS NULL AND dead_at IS NULL;
CREATE INDEX outbox_queued ON exchange.outbox (queued_at);

-- Our own requests to others' registries, and what they answered.
CREATE TABLE exchange.asked (
    transaction_id text PRIMARY KEY,
    peer_id text NOT NULL REFERENCES exchange.peer,
    action text NOT NULL,
    asked_at timestamptz NOT NULL
);

CREATE TABLE exchange.inbox (
    peer_id text NOT NULL REFERENCES exchange.peer,
    message_id text NOT NULL,
    action text NOT NULL,
    transaction_id text NOT NULL,
    received_at timestamptz NOT NULL,
    message bytea NOT NULL,
    PRIMARY KEY (peer_id, message_id)
);

CREATE INDEX inbox_transaction ON exchange.inbox (transaction_id);
CREATE INDEX inbox_received ON exchange.inbox (received_at);

GRANT USAGE ON SCHEMA exchange TO spk_exchange, spk_operator;
GRANT SELECT ON ALL TABLES IN SCHEMA exchange TO spk_exchange;
GRANT INSERT, DELETE ON exchange.message, exchange.request, exchange.outbox, exchange.inbox
TO spk_exchange;
GRANT INSERT ON exchange.subscription, exchange.asked TO spk_exchange;
GRANT DELETE ON exchange.news TO spk_exchange;
GRANT INSERT, DELETE ON exchange.subscribed_news TO spk_exchange;
GRANT UPDATE ON exchange.subscription, exchange.outbox TO spk_exchange;
-- Who speaks with strangers all day cannot let new ones in.
GRANT SELECT, INSERT, UPDATE ON exchange.peer, exchange.peer_purpose TO spk_operator;
GRANT DELETE ON exchange.peer_purpose TO spk_operator;
ALTER DEFAULT PRIVILEGES IN SCHEMA exchange GRANT EXECUTE ON FUNCTIONS TO spk_exchange;

-- 29_egisso.sql
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
    -- generation of the terminal master that both keys come from; moves on with a key change
    master_generation smallint NOT NULL DEFAULT 1 CHECK (master_generation BETWEEN 1 AND 255),
    -- that of the key that was handed out
    next_master_generation smallint CHECK (next_master_generation BETWEEN 1 AND 255),
    -- whether it may renew the social passports of cards at its reader
    writes_passports boolean NOT NULL DEFAULT FALSE,
    CHECK (next_key_generation <> key_generation),
    CHECK ((next_key_generation IS NULL) = (next_master_generation IS NULL))
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
    public_key_pin bytea CHECK (length(public_key_pin) = 65),
    certificate_tap bytea,
    certificate_pin bytea,
    issued_at timestamptz NOT NULL,
    -- generation of the card master that the card's 9B key comes from
    card_master smallint NOT NULL DEFAULT 1 CHECK (card_master BETWEEN 1 AND 255),
    -- rises with every change of state; a copy in another database takes only a newer one
    version integer NOT NULL DEFAULT 1,
    -- 1 a chip card, 2 a temporary card: a code on paper, which has only the key of a tap
    medium smallint NOT NULL DEFAULT 1 CHECK (medium IN (1, 2)),
    -- the one person for whom alone its holder acts with it; NULL: the holder's own card
    represents uuid,
    -- its life is not over, so it may still expire; kept true to its stage in the first database
    live boolean NOT NULL DEFAULT TRUE,
    -- its PIN is the one that its printed number tells: what is signed after it proves nothing
    pin_is_transport boolean NOT NULL DEFAULT FALSE CHECK (NOT pin_is_transport OR medium = 1),
    CONSTRAINT only_a_chip_has_a_pin CHECK (
        (medium = 1) = (public_key_pin IS NOT NULL)
        AND (medium = 1) = (certificate_tap IS NOT NULL)
        AND (medium = 1) = (certificate_pin IS NOT NULL)
    )
);

CREATE INDEX card_holder ON cards.card (holder_id);
-- What is to expire, and whom a renewal campaign is for.
CREATE INDEX card_live ON cards.card (valid_to, card_id) WHERE live;

-- What a card with a transport PIN has to sign after its holder set one of their own: 32 random
-- bytes, the last that were asked for. Only in the first database.
CREATE TABLE cards.pin_challenge (
    card_id uuid PRIMARY KEY REFERENCES cards.card,
    challenge bytea NOT NULL CHECK (length(challenge) = 32),
    made_at timestamptz NOT NULL
);

CREATE TABLE cards.station (
    station_id text PRIMARY KEY CHECK (station_id ~ '^[A-Za-z0-9-]{1,32}$'),
    token_sha256 bytea NOT NULL CHECK (length(token_sha256) = 32),
    active boolean NOT NULL DEFAULT TRUE,
    -- it may order a card for who stands at its counter, without an application
    walk_in boolean NOT NULL DEFAULT TRUE
);

-- Where cards are handed over, and whom to call about one.
CREATE TABLE cards.delivery_point (
    point_id text PRIMARY KEY CHECK (point_id ~ '^[A-Za-z0-9-]{1,32}$'),
    region smallint NOT NULL REFERENCES regulations.region,
    name text NOT NULL CHECK (name <> ''),
    address text NOT NULL CHECK (address <> ''),
    phone text NOT NULL CHECK (phone <> ''),
    hours text NOT NULL CHECK (hours <> ''),
    -- how many days after a card was planned to be made it is there
    delivery_days smallint NOT NULL CHECK (delivery_days BETWEEN 0 AND 60),
    -- most orders planned for one day
    daily_max integer NOT NULL CHECK (daily_max BETWEEN 1 AND 100000),
    active boolean NOT NULL DEFAULT TRUE
);

-- How many orders are planned for a day and a point: what throttles approvals.
CREATE TABLE cards.day_plan (
    planned_on date NOT NULL,
    point_id text NOT NULL REFERENCES cards.delivery_point,
    orders integer NOT NULL CHECK (orders > 0),
    PRIMARY KEY (planned_on, point_id)
);

-- Orders of one delivery point, made at one station.
CREATE TABLE cards.batch (
    batch_id uuid PRIMARY KEY,
    -- what people say
    number integer GENERATED ALWAYS AS IDENTITY UNIQUE,
    point_id text NOT NULL REFERENCES cards.delivery_point,
    planned_on date NOT NULL,
    -- NULL: any station may take it
    station_id text REFERENCES cards.station
);

CREATE INDEX batch_free ON cards.batch (planned_on, number) WHERE station_id IS NULL;
CREATE INDEX batch_station ON cards.batch (station_id, number) WHERE station_id IS NOT NULL;

-- What happened to each batch: made, taken by a station, taken back. Append-only.
CREATE TABLE cards.batch_step (
    batch_id uuid NOT NULL REFERENCES cards.batch,
    number integer NOT NULL CHECK (number > 0),
    step text NOT NULL CHECK (step IN ('made', 'taken', 'taken_back')),
    station_id text,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    made_by text NOT NULL CHECK (made_by <> ''),
    reason text NOT NULL,
    PRIMARY KEY (batch_id, number)
);

CREATE TABLE cards.card_order (
    order_id uuid PRIMARY KEY,
    citizen_id uuid NOT NULL,
    -- what the card is printed from
    register_version integer NOT NULL,
    -- who makes it; NULL: in a batch that no station has taken, or in none yet
    station_id text REFERENCES cards.station,
    card_id uuid NOT NULL UNIQUE,
    card_number text NOT NULL UNIQUE,
    issuer_region smallint NOT NULL,
    valid_to date NOT NULL,
    -- signed by the new card's key in slot 9E when the station reports it: 32 random bytes
    challenge bytea NOT NULL CHECK (length(challenge) = 32),
    -- 1 ordered, 2 issued, 3 given up
    state smallint NOT NULL CHECK (state BETWEEN 1 AND 3),
    ordered_at timestamptz NOT NULL,
    issued_at timestamptz,
    issued_on date,
    -- as in cards.card
    represents uuid,
    -- where the card is handed over; NULL: at once, at the counter where it is written
    point_id text REFERENCES cards.delivery_point,
    batch_id uuid REFERENCES cards.batch,
    planned_on date,
    -- when the card is at its point, as far as was known when it was approved
    expected_on date,
    -- the order made in the place of this one
    remade_as uuid UNIQUE REFERENCES cards.card_order,
    -- how many blanks were spoiled for this card before
    spoiled_before smallint NOT NULL DEFAULT 0,
    CONSTRAINT planned_for_a_point CHECK (
        (point_id IS NULL) = (planned_on IS NULL) AND (point_id IS NULL) = (expected_on IS NULL)
        AND (batch_id IS NULL OR point_id IS NOT NULL)
    ),
    CONSTRAINT made_somewhere CHECK (point_id IS NOT NULL OR station_id IS NOT NULL),
    CONSTRAINT given_up_before_remade CHECK (remade_as IS NULL OR state = 3)
);

CREATE INDEX card_order_citizen ON cards.card_order (citizen_id);
-- A batch's orders, page by page; what is still open leads to a batch that is still to be made.
CREATE INDEX card_order_batch ON cards.card_order (batch_id, order_id) INCLUDE (state)
WHERE batch_id IS NOT NULL;
CREATE INDEX card_order_batch_open ON cards.card_order (batch_id) WHERE state = 1;
CREATE INDEX card_order_station_open ON cards.card_order (station_id, ordered_at, order_id)
WHERE state = 1;
CREATE INDEX card_order_issued ON cards.card_order (station_id, issued_on) WHERE state = 2;
CREATE INDEX card_order_unbatched ON cards.card_order (planned_on, point_id)
WHERE batch_id IS NULL AND state = 1 AND point_id IS NOT NULL;

-- 55_certificates.sql
-- The certificates of issued cards, and how they stand. Only in the first database.
CREATE TABLE cards.certificate (
    -- unsigned, big-endian, without a leading zero
    serial bytea PRIMARY KEY CHECK (
        length(serial) BETWEEN 1 AND 20 AND get_byte(serial, 0) <> 0
    ),
    -- the key identifier of the issuing CA's certificate
    issuer_key_id bytea NOT NULL CHECK (length(issuer_key_id) = 20),
    card_id uuid NOT NULL REFERENCES cards.card,
    valid_to timestamptz NOT NULL,
    revoked_at timestamptz,
    -- CRLReason (RFC 5280 5.3.1)
    reason smallint CHECK (reason IN (0, 1, 3, 4, 5, 6)),
    CONSTRAINT revoked_for_a_reason CHECK ((revoked_at IS NULL) = (reason IS NULL))
);

CREATE INDEX certificate_card ON cards.certificate (card_id);
-- A revocation list takes them in the order of their numbers.
CREATE INDEX certificate_revoked ON cards.certificate (issuer_key_id, length(serial), serial)
WHERE revoked_at IS NOT NULL;

-- The newest revocation list of each issuing CA.
CREATE TABLE cards.revocation_list (
    issuer_key_id bytea PRIMARY KEY CHECK (length(issuer_key_id) = 20),
    number bigint NOT NULL CHECK (number > 0),
    this_update timestamptz NOT NULL,
    next_update timestamptz NOT NULL CHECK (next_update > this_update),
    entries integer NOT NULL CHECK (entries >= 0),
    -- RFC 5280, DER
    body bytea NOT NULL
);

-- Why a card's certificates are revoked (CRLReason); NULL: they are good. A card whose life was not
-- written down, as one from before, is told by its state.
CREATE FUNCTION cards.revocation_reason(p_card_id uuid, p_state smallint) RETURNS smallint
LANGUAGE plpgsql STABLE AS $$
DECLARE
    latest smallint;
BEGIN
    SELECT t.to_stage INTO latest
    FROM cards.transition AS t WHERE t.card_id = p_card_id
    ORDER BY t.number DESC LIMIT 1;
    RETURN CASE
        WHEN p_state = 1 THEN NULL
        -- replaced: superseded
        WHEN p_state = 3 THEN 4
        -- revoked or expired: cessation of operation, for good
        WHEN latest IN (10, 11) THEN 5
        -- not handed over yet, or suspended: on hold, it may work again
        ELSE 6
    END;
END
$$;

-- A card's certificates stand as the card does, whoever changes its state.
CREATE FUNCTION cards.revoke_certificates() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    why CONSTANT smallint := cards.revocation_reason(new.card_id, new.state);
BEGIN
    UPDATE cards.certificate AS c SET
        reason = why,
        revoked_at = CASE WHEN why IS NOT NULL THEN coalesce(c.revoked_at, now()) END
    WHERE c.card_id = new.card_id AND c.reason IS DISTINCT FROM why;
    RETURN NULL;
END
$$;

CREATE TRIGGER certificates_follow AFTER UPDATE OF state ON cards.card
FOR EACH ROW EXECUTE FUNCTION cards.revoke_certificates();

GRANT SELECT, INSERT, UPDATE (revoked_at, reason) ON cards.certificate TO spk_issuing;
GRANT SELECT, UPDATE (revoked_at, reason) ON cards.certificate TO spk_operator;
GRANT SELECT, INSERT, UPDATE ON cards.revocation_list TO spk_issuing;
GRANT SELECT ON cards.revocation_list TO spk_operator;

-- 56_stop_list.sql
-- The stop-lists that were issued, newest of each kind last. Files older than the newest complete
-- list are of no use to anybody and are taken away when the next one comes.
CREATE TABLE cards.stop_list (
    number integer PRIMARY KEY CHECK (number > 0),
    -- the complete list that an incremental one builds on; a complete one builds on itself
    base integer NOT NULL CHECK (base BETWEEN 1 AND number),
    issued_at timestamptz NOT NULL,
    -- cards stopped in all when it was issued
    stopped integer NOT NULL CHECK (stopped >= 0),
    -- the signed file (processing.wire.stop_list)
    body bytea NOT NULL
);

-- The cards in the newest complete list: what an increment is counted from.
CREATE TABLE cards.stop_list_member (
    card_id uuid PRIMARY KEY
);

GRANT SELECT, INSERT, DELETE ON cards.stop_list, cards.stop_list_member TO spk_issuing;
GRANT SELECT ON cards.stop_list TO spk_operator;

-- 57_passport.sql
-- What a terminal may give one card offline within some days, by service ('*': any other service)
-- and benefit category (empty: everybody). Of several that fit a citizen each number's highest
-- counts.
CREATE TABLE cards.offline_limit (
    service text NOT NULL,
    category text NOT NULL DEFAULT '',
    transactions integer NOT NULL CHECK (transactions BETWEEN 0 AND 1000),
    gross_kopecks bigint NOT NULL CHECK (gross_kopecks BETWEEN 0 AND 100000000),
    window_days integer NOT NULL CHECK (window_days BETWEEN 1 AND 366),
    PRIMARY KEY (service, category)
);

INSERT INTO cards.offline_limit (service, transactions, gross_kopecks, window_days)
VALUES ('*', 3, 300000, 7);

-- The newest social passport made for each card, whether or not it is on the card yet.
CREATE TABLE cards.passport (
    card_id uuid PRIMARY KEY,
    number integer NOT NULL CHECK (number > 0),
    -- what it was made from: the same again needs no new one
    content_sha256 bytea NOT NULL CHECK (length(content_sha256) = 32),
    valid_to date NOT NULL,
    -- the signed passport (processing.wire.social_passport)
    body bytea NOT NULL CHECK (length(body) <= 1900)
);

GRANT SELECT ON cards.offline_limit TO spk_issuing, spk_operator;
GRANT INSERT, UPDATE, DELETE ON cards.offline_limit TO spk_operator;
GRANT SELECT, INSERT, UPDATE ON cards.passport TO spk_issuing;

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

-- 62_card_life.sql
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

-- 63_card_application.sql
-- Who asked for a card, who approved it, what became of it. References to persons, no copies. Only
-- in the first database.
CREATE TABLE cards.application (
    application_id uuid PRIMARY KEY,
    -- what people say
    number bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    -- 1 first card, 2 replacement, 3 additional card for a representative, 4 renewal
    kind smallint NOT NULL CHECK (kind BETWEEN 1 AND 4),
    -- the card's holder
    citizen_id uuid NOT NULL,
    -- as in cards.card
    represents uuid CHECK (represents <> citizen_id),
    -- the card whose place the new one takes
    replaces uuid REFERENCES cards.card,
    -- NULL: not said yet, as of a lost card
    point_id text REFERENCES cards.delivery_point,
    -- 1 waits for approval, 2 ordered, 3 handed over, 4 withdrawn, 5 refused
    state smallint NOT NULL CHECK (state BETWEEN 1 AND 5),
    applied_at timestamptz NOT NULL,
    applied_by text NOT NULL CHECK (applied_by <> ''),
    reason text NOT NULL CHECK (reason <> ''),
    decided_at timestamptz,
    decided_by text CHECK (decided_by <> ''),
    -- why it was refused
    decision_reason text CHECK (decision_reason <> ''),
    order_id uuid REFERENCES cards.card_order,
    CONSTRAINT replaces_a_card CHECK ((kind IN (2, 4)) = (replaces IS NOT NULL)),
    CONSTRAINT represents_somebody CHECK (kind <> 3 OR represents IS NOT NULL),
    CONSTRAINT ordered_by_an_order CHECK ((state IN (2, 3)) = (order_id IS NOT NULL)),
    CONSTRAINT refused_for_a_reason CHECK ((state = 5) = (decision_reason IS NOT NULL)),
    CONSTRAINT decided_at_once CHECK ((decided_by IS NULL) = (decided_at IS NULL)),
    -- NULL at the counter, where the station's right approves
    CONSTRAINT another_person_approves
    CHECK (state NOT IN (2, 3) OR lower(decided_by) <> lower(applied_by))
);

-- Nobody waits for two cards of one purpose.
CREATE UNIQUE INDEX application_open
ON cards.application (citizen_id, coalesce(represents, citizen_id)) WHERE state IN (1, 2);
CREATE INDEX application_citizen ON cards.application (citizen_id);
CREATE INDEX application_order ON cards.application (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX application_replaces ON cards.application (replaces) WHERE replaces IS NOT NULL;
-- The lists, newest first.
CREATE INDEX application_state ON cards.application (state, number);
CREATE INDEX application_point ON cards.application (point_id, number);

GRANT SELECT, INSERT, UPDATE ON cards.application TO spk_issuing;
GRANT SELECT, UPDATE (state) ON cards.application TO spk_operator;

-- 64_blanks.sql
-- Blank cards: what came, where it went, what was counted. Only in the first database.

CREATE TABLE cards.blank_lot (
    lot text PRIMARY KEY CHECK (lot ~ '^[A-Za-z0-9./-]{1,64}$'),
    -- a card family of the station, as yubico or openfips201
    family text NOT NULL CHECK (family <> ''),
    received_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Every movement of blanks. Append-only: a mistake is mended by another movement.
CREATE TABLE cards.blank_move (
    move_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- 1 received into the store, 2 given to a station, 3 returned to the store, 4 spoiled at a
    -- station, 5 destroyed in the store
    kind smallint NOT NULL CHECK (kind BETWEEN 1 AND 5),
    -- spoiled blanks lie on one pile, whatever their lot
    lot text REFERENCES cards.blank_lot,
    station_id text REFERENCES cards.station,
    blanks integer NOT NULL CHECK (blanks > 0),
    moved_on date NOT NULL,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    made_by text NOT NULL CHECK (made_by <> ''),
    reason text NOT NULL,
    -- the order that a blank was spoiled for
    order_id uuid UNIQUE REFERENCES cards.card_order,
    CONSTRAINT of_a_lot CHECK ((kind = 4) = (lot IS NULL)),
    CONSTRAINT at_a_station CHECK ((kind IN (2, 3, 4)) = (station_id IS NOT NULL))
);

CREATE INDEX blank_move_lot ON cards.blank_move (lot) WHERE lot IS NOT NULL;
CREATE INDEX blank_move_station ON cards.blank_move (station_id, moved_on)
WHERE station_id IS NOT NULL;

-- What was counted at a station at the end of a day, beside what there had to be. Append-only; of
-- several counts of one day the last one stands.
CREATE TABLE cards.blank_count (
    station_id text NOT NULL REFERENCES cards.station,
    counted_on date NOT NULL,
    number integer NOT NULL CHECK (number > 0),
    -- left at the count before this day, and what came and went since
    opening integer NOT NULL,
    given integer NOT NULL,
    returned integer NOT NULL,
    good integer NOT NULL,
    spoiled integer NOT NULL,
    counted_left integer NOT NULL CHECK (counted_left >= 0),
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    made_by text NOT NULL CHECK (made_by <> ''),
    -- blanks in = good + spoiled + left; anything but 0 is an alarm
    missing integer GENERATED ALWAYS AS (
        opening + given - returned - good - spoiled - counted_left
    ) STORED,
    PRIMARY KEY (station_id, counted_on, number)
);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON cards.blank_move
FOR EACH ROW EXECUTE FUNCTION journal.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON cards.blank_count
FOR EACH ROW EXECUTE FUNCTION journal.refuse_change();

GRANT SELECT, INSERT ON cards.blank_lot, cards.blank_move, cards.blank_count TO spk_issuing;
GRANT SELECT ON cards.blank_lot, cards.blank_move, cards.blank_count TO spk_operator;

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
GRANT UPDATE (
    key_generation, next_key_generation, master_generation, next_master_generation
) ON terminals.terminal TO spk_processing;
GRANT INSERT, UPDATE ON terminals.presence TO spk_processing;

GRANT USAGE ON SCHEMA register, rights, regulations TO spk_register;
-- Persons are reached through functions alone: they log who reads what, and write only in a change.
GRANT SELECT ON register.benefit_category, register.record_kind TO spk_register;
GRANT SELECT, INSERT, UPDATE ON rights.entitlement TO spk_register;
-- Where an allowance's periods begin is fixed for good: moving it would start a fresh counter.
GRANT SELECT, INSERT, UPDATE (granted, valid_to, priority) ON rights.allowance TO spk_register;
GRANT SELECT ON rights.counter, rights.card_authority TO spk_register;
GRANT SELECT, INSERT, UPDATE ON rights.holder_fact TO spk_register;
GRANT SELECT ON ALL TABLES IN SCHEMA regulations TO spk_register;
-- For one function: who began or ceased to act for whom by the calendar.
GRANT USAGE ON SCHEMA cards TO spk_register;

GRANT USAGE ON SCHEMA register, rights, cards, regulations TO spk_issuing;
GRANT SELECT ON regulations.region TO spk_issuing;
GRANT SELECT, INSERT, UPDATE ON cards.card, cards.card_order TO spk_issuing;
GRANT SELECT, INSERT, UPDATE, DELETE ON cards.pin_challenge TO spk_issuing;
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

GRANT USAGE ON SCHEMA rights TO spk_finance, spk_exchange;
GRANT SELECT ON rights.target
TO spk_processing, spk_register, spk_issuing, spk_operator, spk_finance, spk_exchange;

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
    -- as in rights.card_authority
    scope text[],
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

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

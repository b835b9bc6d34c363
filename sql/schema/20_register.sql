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

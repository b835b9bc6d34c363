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

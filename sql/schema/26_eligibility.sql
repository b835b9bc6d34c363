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

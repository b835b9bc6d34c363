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

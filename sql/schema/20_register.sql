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

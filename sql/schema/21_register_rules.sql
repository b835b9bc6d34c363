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

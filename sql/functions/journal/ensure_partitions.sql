-- Make the monthly partitions that cover p_from to p_to, and return the names of the new ones.
-- Runs as the owner, so that the programs need no right to create tables. A closed month gets none.
--
-- A date for which no month was made yet may have come before (a reversal that names an original
-- of next year): its rows lie in the default partition and move to the month that is theirs.
CREATE OR REPLACE FUNCTION journal.ensure_partitions(p_from date, p_to date) RETURNS text[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    month date := greatest(date_trunc('month', p_from::timestamp)::date, journal.closed_before());
    next_month date;
    parent text;
    child text;
    strays bigint;
    made text [] := '{}';
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('journal.ensure_partitions'));
    WHILE month <= p_to LOOP
        next_month := (month + interval '1 month')::date;
        FOREACH parent IN ARRAY ARRAY['event', 'line'] LOOP
            child := format('%s_%s', parent, to_char(month, 'YYYY_MM'));
            CONTINUE WHEN to_regclass('journal.' || child) IS NOT NULL;
            EXECUTE format(
                'SELECT count(*) FROM journal.%I WHERE business_date >= $1 AND business_date < $2',
                parent || '_other'
            ) INTO strays USING month, next_month;
            IF strays > 0 THEN
                -- Detached, it has none of the parent's triggers, so that rows can move; what is
                -- added meanwhile waits.
                EXECUTE format(
                    'ALTER TABLE journal.%I DETACH PARTITION journal.%I', parent, parent || '_other'
                );
            END IF;
            EXECUTE format(
                'CREATE TABLE journal.%I PARTITION OF journal.%I FOR VALUES FROM (%L) TO (%L)',
                child, parent, month, next_month
            );
            EXECUTE format(
                'CREATE TRIGGER never_emptied BEFORE TRUNCATE ON journal.%I
                FOR EACH STATEMENT EXECUTE FUNCTION journal.refuse_change()', child
            );
            IF strays > 0 THEN
                EXECUTE format(
                    'WITH moved AS (
                        DELETE FROM journal.%I WHERE business_date >= $1 AND business_date < $2
                        RETURNING *
                    )
                    INSERT INTO journal.%I SELECT * FROM moved', parent || '_other', child
                ) USING month, next_month;
                EXECUTE format(
                    'ALTER TABLE journal.%I ATTACH PARTITION journal.%I DEFAULT',
                    parent, parent || '_other'
                );
            END IF;
            made := made || child;
        END LOOP;
        month := next_month;
    END LOOP;
    RETURN made;
END
$$;
REVOKE ALL ON FUNCTION journal.ensure_partitions(date, date) FROM public;
GRANT EXECUTE ON FUNCTION journal.ensure_partitions(date, date) TO spk_processing, spk_operator;

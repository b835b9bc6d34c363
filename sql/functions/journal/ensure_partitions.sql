-- Make the monthly partitions that cover p_from to p_to, and return the names of the new ones.
-- Runs as the owner, so that the programs need no right to create tables.
CREATE OR REPLACE FUNCTION journal.ensure_partitions(p_from date, p_to date) RETURNS text []
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    month date := date_trunc('month', p_from::timestamp)::date;
    parent text;
    child text;
    made text [] := '{}';
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('journal.ensure_partitions'));
    WHILE month <= p_to LOOP
        FOREACH parent IN ARRAY ARRAY['event', 'line'] LOOP
            child := format('%s_%s', parent, to_char(month, 'YYYY_MM'));
            IF to_regclass('journal.' || child) IS NULL THEN
                EXECUTE format(
                    'CREATE TABLE journal.%I PARTITION OF journal.%I FOR VALUES FROM (%L) TO (%L)',
                    child, parent, month, (month + interval '1 month')::date
                );
                made := made || child;
            END IF;
        END LOOP;
        month := (month + interval '1 month')::date;
    END LOOP;
    RETURN made;
END
$$;
REVOKE ALL ON FUNCTION journal.ensure_partitions(date, date) FROM public;
GRANT EXECUTE ON FUNCTION journal.ensure_partitions(date, date) TO spk_processing, spk_operator;

-- Make empty tables for a month that was dropped, beside the journal, that the operator may fill.
-- What an earlier attempt left there is thrown away.
CREATE OR REPLACE FUNCTION journal.prepare_restore(p_month date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    parent text;
    child text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('journal.archive'));
    IF journal.last_step(p_month) IS DISTINCT FROM 'dropped' THEN
        RAISE EXCEPTION 'the month % was not dropped: nothing is to be restored from files',
            to_char(p_month, 'YYYY-MM')
        USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    FOREACH parent IN ARRAY ARRAY['event', 'line'] LOOP
        child := format('%s_%s', parent, to_char(p_month, 'YYYY_MM'));
        EXECUTE format('DROP TABLE IF EXISTS journal.%I', child);
        EXECUTE format(
            'CREATE TABLE journal.%I (LIKE journal.%I INCLUDING ALL)', child, parent
        );
        EXECUTE format('GRANT SELECT, INSERT ON journal.%I TO spk_operator', child);
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION journal.prepare_restore(date) FROM public;
GRANT EXECUTE ON FUNCTION journal.prepare_restore(date) TO spk_operator;

-- Put the tables of a month back into the journal, closed as before, if they hold exactly the rows
-- that were detached. Gives way and tries again as journal.detach_month does.
CREATE OR REPLACE FUNCTION journal.attach_month(p_month date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog SET lock_timeout = '300ms' AS $$
DECLARE
    tries CONSTANT integer := 10;
    next_month date := (p_month + interval '1 month')::date;
    kept record;
    found record;
    parent text;
    child text;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('journal.archive')) THEN
        RAISE EXCEPTION 'another session archives the journal at this moment'
        USING ERRCODE = 'lock_not_available';
    END IF;
    IF journal.month_state(p_month) NOT IN ('detached', 'restoring') THEN
        RAISE EXCEPTION 'the month % is % and cannot be attached', to_char(p_month, 'YYYY-MM'),
            journal.month_state(p_month)
        USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    SELECT s.* INTO STRICT kept FROM journal.archive_step AS s
    WHERE s.month = p_month AND s.step = 'detached' ORDER BY s.step_no DESC LIMIT 1;
    FOREACH parent IN ARRAY ARRAY['event', 'line'] LOOP
        child := format('%s_%s', parent, to_char(p_month, 'YYYY_MM'));
        EXECUTE format('REVOKE INSERT ON journal.%I FROM spk_operator', child);
        -- Only here: nobody adds to the tables from now on.
        EXECUTE format('LOCK TABLE journal.%I IN SHARE MODE', child);
        SELECT c.* INTO found FROM journal.checksum_of(child) AS c;
        IF parent = 'event' AND (found.row_count, found.checksum)
            IS DISTINCT FROM (kept.event_count, kept.event_checksum)
            OR parent = 'line' AND (found.row_count, found.checksum)
            IS DISTINCT FROM (kept.line_count, kept.line_checksum) THEN
            RAISE EXCEPTION 'journal.% does not hold the rows that were detached', child
            USING ERRCODE = 'object_not_in_prerequisite_state';
        END IF;
        EXECUTE format('DROP TRIGGER IF EXISTS append_only ON journal.%I', child);
        EXECUTE format('DROP TRIGGER IF EXISTS closed ON journal.%I', child);
        EXECUTE format(
            'CREATE TRIGGER closed BEFORE INSERT ON journal.%I
            FOR EACH ROW EXECUTE FUNCTION journal.refuse_closed()', child
        );
        -- Known to hold already, so that the journal is not locked while rows are looked through.
        EXECUTE format(
            'ALTER TABLE journal.%I ADD CONSTRAINT month CHECK
            (business_date IS NOT NULL AND business_date >= %L AND business_date < %L)',
            child, p_month, next_month
        );
    END LOOP;

    FOR try IN 1..tries LOOP
        BEGIN
            FOREACH parent IN ARRAY ARRAY['event', 'line'] LOOP
                EXECUTE format(
                    'ALTER TABLE journal.%I ATTACH PARTITION journal.%I
                    FOR VALUES FROM (%L) TO (%L)',
                    parent, format('%s_%s', parent, to_char(p_month, 'YYYY_MM')), p_month,
                    next_month
                );
            END LOOP;
            EXIT;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            IF try = tries THEN
                RAISE EXCEPTION 'the journal was in use at each of % tries', tries
                USING ERRCODE = 'lock_not_available';
            END IF;
            PERFORM pg_sleep(0.2);
        END;
    END LOOP;
    FOREACH parent IN ARRAY ARRAY['event', 'line'] LOOP
        child := format('%s_%s', parent, to_char(p_month, 'YYYY_MM'));
        EXECUTE format('ALTER TABLE journal.%I DROP CONSTRAINT month', child);
    END LOOP;
    INSERT INTO journal.archive_step (month, step_no, step)
    SELECT p_month, max(s.step_no) + 1, 'restored'
    FROM journal.archive_step AS s WHERE s.month = p_month;
END
$$;
REVOKE ALL ON FUNCTION journal.attach_month(date) FROM public;
GRANT EXECUTE ON FUNCTION journal.attach_month(date) TO spk_operator;

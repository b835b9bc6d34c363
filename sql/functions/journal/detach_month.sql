-- Take a closed month out of the journal; its tables stay beside it, as append-only as before.
-- p_event_count and p_line_count are what was verified in p_files (SHA-256 in hex, by name).
--
-- DETACH ... CONCURRENTLY is refused while there is a default partition, so this waits for all who
-- read or write the journal. It gives way after 300 ms, since every new transaction waits behind
-- it, and tries again; 55P03 after the last try. What takes long comes before the lock.
CREATE OR REPLACE FUNCTION journal.detach_month(
    p_month date, p_event_count bigint, p_line_count bigint, p_files jsonb
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog SET lock_timeout = '300ms' AS $$
DECLARE
    tries CONSTANT integer := 10;
    suffix text := to_char(p_month, 'YYYY_MM');
    event record;
    line record;
    parent text;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('journal.archive')) THEN
        RAISE EXCEPTION 'another session archives the journal at this moment'
        USING ERRCODE = 'lock_not_available';
    END IF;
    IF journal.month_state(p_month) <> 'closed' THEN
        RAISE EXCEPTION 'the month % is % and cannot be detached',
            to_char(p_month, 'YYYY-MM'), journal.month_state(p_month)
        USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    SELECT c.* INTO event FROM journal.checksum_of('event_' || suffix) AS c;
    SELECT c.* INTO line FROM journal.checksum_of('line_' || suffix) AS c;
    IF (event.row_count, line.row_count) IS DISTINCT FROM (p_event_count, p_line_count) THEN
        RAISE EXCEPTION 'the month % has % events and % lines, not % and %',
            to_char(p_month, 'YYYY-MM'), event.row_count, line.row_count, p_event_count,
            p_line_count
        USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;

    FOR try IN 1..tries LOOP
        BEGIN
            EXECUTE format(
                'ALTER TABLE journal.event DETACH PARTITION journal.%I', 'event_' || suffix
            );
            EXECUTE format(
                'ALTER TABLE journal.line DETACH PARTITION journal.%I', 'line_' || suffix
            );
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
        -- The parent's own trigger went with the parent.
        EXECUTE format(
            'CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON journal.%I
            FOR EACH ROW EXECUTE FUNCTION journal.refuse_change()', parent || '_' || suffix
        );
    END LOOP;
    INSERT INTO journal.archive_step (
        month, step_no, step, event_count, line_count, event_checksum, line_checksum, files
    )
    SELECT
        p_month, max(s.step_no) + 1, 'detached', event.row_count, line.row_count, event.checksum,
        line.checksum, p_files
    FROM journal.archive_step AS s WHERE s.month = p_month;
END
$$;
REVOKE ALL ON FUNCTION journal.detach_month(date, bigint, bigint, jsonb) FROM public;
GRANT EXECUTE ON FUNCTION journal.detach_month(date, bigint, bigint, jsonb) TO spk_operator;

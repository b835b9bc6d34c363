-- Close a month of business dates: from now on no row can be added to it, so that what is read of
-- it stays what it is. The operator may then read its tables. Does nothing to a closed month.
--
-- Refuses (55000) the month of a business date that a terminal may still send, one with decisions
-- of the last 31 days (their receipts are still asked for), one with an open reservation, and one
-- with an older month open before it. Waits until transactions that add to the month have ended.
CREATE OR REPLACE FUNCTION journal.close_month(p_month date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    -- the centre keeps that many days of partitions behind it (processing.app)
    keep_from date := (now() AT TIME ZONE 'UTC')::date - 31;
    suffix text := to_char(p_month, 'YYYY_MM');
    parent text;
    older text;
    newest date;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('journal.archive'));
    IF journal.month_state(p_month) NOT IN ('open', 'closed') THEN
        RAISE EXCEPTION 'the journal has no month %', to_char(p_month, 'YYYY-MM')
        USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF journal.month_state(p_month) = 'closed' THEN
        RETURN;
    END IF;
    IF (p_month + interval '1 month')::date > keep_from THEN
        RAISE EXCEPTION 'the month % has business dates of the last 31 days',
            to_char(p_month, 'YYYY-MM')
        USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    SELECT min(c.relname) INTO older
    FROM pg_inherits AS i INNER JOIN pg_class AS c ON i.inhrelid = c.oid
    WHERE i.inhparent = 'journal.event'::regclass AND c.relname ~ '^event_\d{4}_\d\d$'
        AND c.relname < 'event_' || suffix
        AND c.relname >= 'event_' || to_char(
            greatest(journal.closed_before(), '0001-01-01'::date), 'YYYY_MM'
        );
    IF older IS NOT NULL THEN
        RAISE EXCEPTION 'an older month is open: journal.%', older
        USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    EXECUTE format('SELECT max(posting_date) FROM journal.%I', 'event_' || suffix) INTO newest;
    IF newest > keep_from THEN
        RAISE EXCEPTION 'the month % has decisions of %, of the last 31 days',
            to_char(p_month, 'YYYY-MM'), newest
        USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF EXISTS (
        SELECT FROM rights.reservation AS r
        WHERE r.business_date >= p_month AND r.business_date < p_month + interval '1 month'
    ) THEN
        RAISE EXCEPTION 'the month % has reservations that have not expired yet',
            to_char(p_month, 'YYYY-MM')
        USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;

    INSERT INTO journal.archive_step (month, step_no, step) VALUES (p_month, 1, 'closed');
    FOREACH parent IN ARRAY ARRAY['event', 'line'] LOOP
        EXECUTE format(
            'CREATE TRIGGER closed BEFORE INSERT ON journal.%I
            FOR EACH ROW EXECUTE FUNCTION journal.refuse_closed()', parent || '_' || suffix
        );
        EXECUTE format('GRANT SELECT ON journal.%I TO spk_operator', parent || '_' || suffix);
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION journal.close_month(date) FROM public;
GRANT EXECUTE ON FUNCTION journal.close_month(date) TO spk_operator;

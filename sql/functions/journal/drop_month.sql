-- Drop the tables of a detached month. p_files are the files as they were just read again; they
-- must be the ones that were verified when the month was detached.
CREATE OR REPLACE FUNCTION journal.drop_month(p_month date, p_files jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    suffix text := to_char(p_month, 'YYYY_MM');
    kept jsonb;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('journal.archive'));
    SELECT s.files INTO kept FROM journal.archive_step AS s
    WHERE s.month = p_month AND s.step = 'detached' ORDER BY s.step_no DESC LIMIT 1;
    IF journal.month_state(p_month) <> 'detached' OR kept IS NULL THEN
        RAISE EXCEPTION 'the month % is % and cannot be dropped', to_char(p_month, 'YYYY-MM'),
            journal.month_state(p_month)
        USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF p_files IS DISTINCT FROM kept THEN
        RAISE EXCEPTION 'the files of the month % are not those that were verified',
            to_char(p_month, 'YYYY-MM')
        USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    EXECUTE format('DROP TABLE journal.%I, journal.%I', 'event_' || suffix, 'line_' || suffix);
    INSERT INTO journal.archive_step (month, step_no, step)
    SELECT p_month, max(s.step_no) + 1, 'dropped'
    FROM journal.archive_step AS s WHERE s.month = p_month;
END
$$;
REVOKE ALL ON FUNCTION journal.drop_month(date, jsonb) FROM public;
GRANT EXECUTE ON FUNCTION journal.drop_month(date, jsonb) TO spk_operator;

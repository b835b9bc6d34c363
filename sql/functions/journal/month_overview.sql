-- Every month of history, oldest first, and with month NULL what lies in no month's partition.
-- state: open and closed are in the journal, detached is beside it, dropped is in files only.
-- unsettled_days counts terminals' business days with sales whose last totals (0500) are missing,
-- differ, or came before the day's last decision; conflicts are advices recorded in conflict.
CREATE OR REPLACE FUNCTION journal.month_overview() RETURNS TABLE (
    month date,
    state text,
    event_count bigint,
    line_count bigint,
    size_bytes bigint,
    first_posting_date date,
    last_posting_date date,
    conflicts bigint,
    unsettled_days bigint,
    files jsonb
)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    found record;
BEGIN
    FOR found IN
        SELECT to_date(substr(c.relname, 7), 'YYYY_MM') AS month, substr(c.relname, 7) AS suffix
        FROM pg_class AS c
        WHERE c.relnamespace = 'journal'::regnamespace AND c.relname ~ '^event_\d{4}_\d\d$'
        UNION ALL
        SELECT NULL, 'other'
        UNION ALL
        SELECT s.month, NULL FROM journal.archive_step AS s
        WHERE journal.month_state(s.month) = 'gone' AND s.step_no = 1
        ORDER BY 1 NULLS LAST
    LOOP
        month := found.month;
        SELECT s.files, s.event_count, s.line_count INTO files, event_count, line_count
        FROM journal.archive_step AS s
        WHERE s.month = found.month AND s.step = 'detached' ORDER BY s.step_no DESC LIMIT 1;
        IF found.suffix IS NULL THEN
            state := 'dropped';
            size_bytes := 0;
            first_posting_date := NULL;
            last_posting_date := NULL;
            conflicts := NULL;
            unsettled_days := NULL;
        ELSE
            state := CASE WHEN month IS NULL THEN 'open' ELSE journal.month_state(month) END;
            size_bytes := pg_total_relation_size(('journal.event_' || found.suffix)::regclass)
                + pg_total_relation_size(('journal.line_' || found.suffix)::regclass);
            EXECUTE format(
                'SELECT count(*), min(e.posting_date), max(e.posting_date),
                    count(*) FILTER (WHERE e.outcome = 701)
                FROM journal.%I AS e', 'event_' || found.suffix
            ) INTO event_count, first_posting_date, last_posting_date, conflicts;
            EXECUTE format('SELECT count(*) FROM journal.%I', 'line_' || found.suffix)
            INTO line_count;
            EXECUTE format(
                'SELECT count(*) FROM (
                    SELECT e.business_date, e.terminal_id, max(e.decided_at) AS decided_at
                    FROM journal.%I AS e WHERE e.covered_kopecks IS NOT NULL
                    GROUP BY e.business_date, e.terminal_id
                ) AS d
                LEFT JOIN LATERAL (
                    SELECT t.received_at >= d.decided_at
                        AND (t.terminal_approved_count, t.terminal_gross_kopecks,
                            t.terminal_covered_kopecks, t.terminal_paid_kopecks,
                            t.terminal_reversed_count, t.terminal_reversed_covered_kopecks)
                        = (t.centre_approved_count, t.centre_gross_kopecks,
                            t.centre_covered_kopecks, t.centre_paid_kopecks,
                            t.centre_reversed_count, t.centre_reversed_covered_kopecks) AS settled
                    FROM reconciliation.terminal_totals AS t
                    WHERE t.terminal_id = d.terminal_id AND t.business_date = d.business_date
                    ORDER BY t.received_at DESC, t.stan DESC LIMIT 1
                ) AS t ON TRUE
                WHERE t.settled IS NOT TRUE', 'event_' || found.suffix
            ) INTO unsettled_days;
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION journal.month_overview() FROM public;
GRANT EXECUTE ON FUNCTION journal.month_overview() TO spk_operator, spk_finance;

-- The step done last with a month; NULL when there was none.
CREATE OR REPLACE FUNCTION journal.last_step(p_month date) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT s.step FROM journal.archive_step AS s
    WHERE s.month = p_month ORDER BY s.step_no DESC LIMIT 1
$$;

-- Where the tables of a month are: open or closed (in the journal), detached (beside it), gone, or
-- restoring (beside it, not yet known to hold what was detached).
-- p_month is the first day of the month.
CREATE OR REPLACE FUNCTION journal.month_state(p_month date) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT CASE
        WHEN c.oid IS NULL THEN 'gone'
        WHEN NOT c.relispartition AND journal.last_step(p_month) = 'dropped' THEN 'restoring'
        WHEN NOT c.relispartition THEN 'detached'
        WHEN p_month < journal.closed_before() THEN 'closed'
        ELSE 'open'
    END
    FROM (SELECT to_regclass('journal.event_' || to_char(p_month, 'YYYY_MM')) AS event) AS t
    LEFT JOIN pg_class AS c ON t.event = c.oid
$$;

-- A number for the rows of a table of a month, whatever their order: as many rows, each with the
-- same content, give the same number. It finds mistakes; against forgery there are receipts.
CREATE OR REPLACE FUNCTION journal.checksum_of(
    p_table text, OUT row_count bigint, OUT checksum numeric
)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog SET "TimeZone" = 'UTC' SET "DateStyle" = 'ISO, YMD'
SET bytea_output = 'hex' AS $$
BEGIN
    EXECUTE format(
        'SELECT count(*), coalesce(sum((
            ''x'' || left(encode(sha256(convert_to(t::text, ''UTF8'')), ''hex''), 15)
        )::bit(60)::bigint), 0)
        FROM journal.%I AS t', p_table
    ) INTO row_count, checksum;
END
$$;

-- The inner parts of the functions that archive: nobody calls them from outside.
REVOKE ALL ON FUNCTION journal.month_state(date), journal.last_step(date),
journal.checksum_of(text) FROM public;

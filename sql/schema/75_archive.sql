-- What was done with each month of history, step by step; a month without a step is open. The
-- months form a row without gaps: everything before the last closed one is closed as well.
CREATE TABLE journal.archive_step (
    -- the first day of the month of business dates
    month date NOT NULL CHECK (extract(DAY FROM month) = 1),
    step_no smallint NOT NULL CHECK (step_no > 0),
    step text NOT NULL CHECK (step IN ('closed', 'detached', 'dropped', 'restored')),
    done_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    done_by text NOT NULL DEFAULT session_user,
    -- Of a detached month: what its tables hold, so that a restored month can be held to it. The
    -- checksums are of the rows as text (journal.checksum_of); the files are SHA-256 by name.
    event_count bigint,
    line_count bigint,
    event_checksum numeric,
    line_checksum numeric,
    files jsonb,
    PRIMARY KEY (month, step_no),
    CHECK (
        step <> 'detached'
        OR num_nulls(event_count, line_count, event_checksum, line_checksum, files) = 0
    )
);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON journal.archive_step
FOR EACH ROW EXECUTE FUNCTION journal.refuse_change();

GRANT SELECT ON journal.archive_step TO spk_processing, spk_operator, spk_finance;
-- Which block holds which decision says nothing about anybody.
GRANT SELECT ON journal.block TO spk_operator;

-- The day before which nothing can be added to the journal any more.
CREATE FUNCTION journal.closed_before() RETURNS date
LANGUAGE sql STABLE AS $$
    SELECT coalesce((max(s.month) + interval '1 month')::date, '-infinity'::date)
    FROM journal.archive_step AS s
$$;
GRANT EXECUTE ON FUNCTION journal.closed_before()
TO spk_processing, spk_operator, spk_finance;

-- A key of a closed month may have been decided in rows that are gone: it is never decided again.
CREATE FUNCTION journal.refuse_closed() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF new.business_date < journal.closed_before() THEN
        RAISE EXCEPTION 'the journal is closed before %: a row of % cannot be added',
            journal.closed_before(), new.business_date
        USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    RETURN new;
END
$$;

-- A month's own partitions get this trigger when it is closed. These two catch what is left.
CREATE TRIGGER closed BEFORE INSERT ON journal.event_other
FOR EACH ROW EXECUTE FUNCTION journal.refuse_closed();
CREATE TRIGGER closed BEFORE INSERT ON journal.line_other
FOR EACH ROW EXECUTE FUNCTION journal.refuse_closed();

-- Take a chunk of an import's rows: sound ones as JSON (natural key, columns, what they refer to),
-- and the lines that could not be read. Of an import that another person has to approve, rows are
-- judged and kept; otherwise, and when p_writes, they are written. Returns the rows that were not
-- taken, with the reason; a repeat that says the same is named, though it was. `kept` is how sound
-- rows came, needed only where they are not written now.
CREATE OR REPLACE FUNCTION register.import_take(
    p_import_id bigint, p_writes boolean,
    p_lines integer[], p_keys text[], p_bodies text[], p_named text[], p_kept bytea[],
    p_unread integer[], p_from_score smallint
) RETURNS TABLE (line integer, outcome text, code text, field text, other_line integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    taken register.import;
BEGIN
    -- Two imports at once would find nothing of each other's; and one import has one writer.
    PERFORM pg_advisory_xact_lock(hashtext('register.import'));
    SELECT i.* INTO STRICT taken FROM register.import AS i WHERE i.import_id = p_import_id;
    PERFORM register.continue_change(taken.change_id) WHERE p_writes;
    PERFORM register.import_stage(taken.kind, p_lines, p_keys, p_bodies, p_named);
    CREATE TEMPORARY TABLE likely (
        line integer NOT NULL, record_id uuid NOT NULL, score smallint, reasons text[]
    ) ON COMMIT DROP;

    UPDATE staged AS s
    SET
        decision = d.decision,
        record_id = coalesce(d.record_id, s.record_id),
        outcome = CASE WHEN d.decision = 'skip' THEN 'rejected' ELSE s.outcome END,
        code = CASE WHEN d.decision = 'skip' THEN 'skipped' ELSE s.code END
    FROM register.import_decision AS d
    WHERE d.import_id = p_import_id AND d.line = s.line AND s.outcome = 'created';

    PERFORM register.import_match(taken.kind);
    PERFORM register.import_repeats(p_import_id, taken.kind);
    IF taken.kind = 'citizen' THEN
        PERFORM register.import_people(p_from_score);
        PERFORM register.import_people_of_chunk(p_from_score);
    END IF;
    IF p_writes THEN
        PERFORM register.import_write(taken.kind, min(s.line), max(s.line))
        FROM staged AS s
        HAVING count(*) > 0;
    END IF;
    -- A repeat of a row of this chunk fares as that row does.
    UPDATE staged AS s
    SET outcome = 'rejected'
    FROM staged AS f
    WHERE
        s.code = 'repeated' AND s.outcome = 'unchanged' AND s.first_line = f.line
        AND f.outcome IN ('rejected', 'waiting');

    PERFORM register.import_record(p_import_id, p_writes, p_lines, p_kept, p_unread);
    RETURN QUERY
    SELECT s.line, s.outcome, s.code, s.field, s.other_line
    FROM staged AS s
    WHERE s.outcome IN ('rejected', 'waiting')
    ORDER BY s.line;
    DROP TABLE staged, likely;
END
$$;

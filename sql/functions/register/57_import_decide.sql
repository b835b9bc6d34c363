-- Give the rights that rest on what an import wrote to the databases that serve their holders, and
-- let cards act for whom it says that they may.
CREATE OR REPLACE FUNCTION register.import_pass_rights_on(p_import_id bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
SELECT register.pass_rights_on(i.change_id)
FROM register.import AS i
INNER JOIN register.record_kind AS k ON i.kind = k.kind
WHERE i.import_id = p_import_id AND k.creates_rights AND i.change_id IS NOT NULL;

SELECT cards.follow_change(i.change_id)
FROM register.import AS i
WHERE
    i.import_id = p_import_id AND i.change_id IS NOT NULL
    AND i.kind IN ('representative', 'household_member', 'citizen');
$$;

-- All rows of an import's file are taken: it is done, or waits for another person.
CREATE OR REPLACE FUNCTION register.import_finish(p_import_id bigint) RETURNS text
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
UPDATE register.import AS i
SET
    state = f.state,
    ended_at = CASE WHEN f.state = 'done' THEN clock_timestamp() END
FROM (
    SELECT CASE
        WHEN
            i.state = 'reading' AND k.creates_rights AND EXISTS (
                SELECT FROM register.import_chunk AS c
                WHERE
                    c.import_id = p_import_id
                    AND c.created_count + c.changed_count + c.waiting_count > 0
            )
            THEN 'proposed'
        ELSE 'done'
    END AS state
    FROM register.import AS i
    INNER JOIN register.record_kind AS k ON i.kind = k.kind
    WHERE i.import_id = p_import_id
) AS f
WHERE i.import_id = p_import_id AND i.state IN ('reading', 'applying')
RETURNING i.state;
$$;

-- Approve a proposed import, which is then written chunk by chunk as one change. Raises
-- check_violation another_person_decides_import.
CREATE OR REPLACE FUNCTION register.import_approve(p_import_id bigint, p_by text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    UPDATE register.import AS i
    SET state = 'applying', decided_by = p_by, decided_at = clock_timestamp()
    WHERE i.import_id = p_import_id AND i.state = 'proposed';
    IF NOT FOUND THEN
        RETURN FALSE;
    END IF;
    UPDATE register.import AS i
    SET change_id = register.begin_change(
        i.started_by, format('%s: %s', i.source, i.file_name), 'import', i.import_id::text, p_by
    )
    WHERE i.import_id = p_import_id;
    RETURN TRUE;
END
$$;

-- Refuse a proposed import; nothing of it is written.
CREATE OR REPLACE FUNCTION register.import_refuse(
    p_import_id bigint, p_by text, p_reason text
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    UPDATE register.import AS i
    SET
        state = 'refused', decided_by = p_by, decided_at = clock_timestamp(),
        decision_reason = p_reason, ended_at = clock_timestamp()
    WHERE i.import_id = p_import_id AND i.state = 'proposed';
    IF NOT FOUND THEN
        RETURN FALSE;
    END IF;
    DELETE FROM register.import_staged AS w WHERE w.import_id = p_import_id;
    RETURN TRUE;
END
$$;

-- The rows of a chunk that are not in the register yet, as register.import_take is given them.
CREATE OR REPLACE FUNCTION register.import_unwritten(
    p_import_id bigint, p_first_line integer, p_last_line integer
) RETURNS TABLE (line integer, key text, body text, named text, kept bytea)
LANGUAGE sql SECURITY DEFINER STABLE SET search_path = pg_catalog AS $$
SELECT w.line, w.key, w.body::text, w.named::text, coalesce(w.kept, r.kept)
FROM register.import_staged AS w
LEFT JOIN register.import_reject AS r ON w.import_id = r.import_id AND w.line = r.line
WHERE w.import_id = p_import_id AND w.line BETWEEN p_first_line AND p_last_line
ORDER BY w.line;
$$;

-- Keep what a person decided about a waiting row; FALSE when it does not wait, or the record that
-- it is said to be about is none of its candidates. What brings in a right after the import was
-- approved is decided by another person than who began it.
CREATE OR REPLACE FUNCTION register.import_decide(
    p_import_id bigint, p_line integer, p_decision text, p_record_id uuid, p_by text, p_reason text
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('register.import'));
    INSERT INTO register.import_decision (
        import_id, line, decision, record_id, decided_by, reason
    )
    SELECT p_import_id, p_line, p_decision, p_record_id, p_by, p_reason
    FROM register.import_row AS i
    INNER JOIN register.import AS m ON i.import_id = m.import_id
    INNER JOIN register.record_kind AS k ON m.kind = k.kind
    WHERE
        i.import_id = p_import_id AND i.line = p_line AND i.outcome = 'waiting'
        AND m.state NOT IN ('undone', 'refused')
        AND (
            NOT k.creates_rights OR m.state IN ('reading', 'proposed') OR p_by <> m.started_by
        )
        AND (
            p_record_id IS NULL
            OR EXISTS (
                SELECT FROM register.import_candidate AS c
                WHERE
                    c.import_id = p_import_id AND c.line = p_line AND c.record_id = p_record_id
            )
        );
    RETURN FOUND;
END
$$;

-- A row that a decision brought in is no longer among those not taken.
CREATE OR REPLACE FUNCTION register.import_forget_reject(
    p_import_id bigint, p_line integer
) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
DELETE FROM register.import_reject AS r
USING register.import_row AS i
WHERE
    r.import_id = p_import_id AND r.line = p_line
    AND i.import_id = r.import_id AND i.line = r.line
    AND i.outcome NOT IN ('rejected', 'waiting');
$$;

-- Keep which column of a source's files is which field.
CREATE OR REPLACE FUNCTION register.import_keep_mapping(
    p_source text, p_kind text, p_columns jsonb, p_by text
) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
INSERT INTO register.import_mapping AS m (source, kind, columns, confirmed_by)
VALUES (p_source, p_kind, p_columns, p_by)
ON CONFLICT (source, kind) DO UPDATE
    SET
        columns = m.columns || excluded.columns,
        confirmed_by = excluded.confirmed_by,
        confirmed_at = clock_timestamp();
$$;

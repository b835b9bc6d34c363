-- Take back all that an import wrote, as one change: returns that change, or, where rights rest on
-- it, the request that another person has to approve. Raises what register.undo_change does, and
-- exclusion_violation `undone_already` for an import that is not done.
CREATE OR REPLACE FUNCTION register.import_undo(
    p_import_id bigint, p_by text, p_reason text, OUT change_id bigint, OUT request_id bigint
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    made register.import;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('register.import'));
    SELECT i.* INTO STRICT made FROM register.import AS i WHERE i.import_id = p_import_id;
    IF made.change_id IS NULL THEN
        RAISE EXCEPTION 'import % has written nothing', p_import_id
            USING ERRCODE = 'exclusion_violation', CONSTRAINT = 'undone_already';
    END IF;
    SELECT u.change_id, u.request_id INTO import_undo.change_id, import_undo.request_id
    FROM register.undo_change(made.change_id, p_by, p_reason) AS u;
    -- One half way ends here: what was taken of it is taken back, the rest is never taken.
    UPDATE register.import AS i
    SET
        state = CASE WHEN import_undo.change_id IS NULL THEN 'done' ELSE 'undone' END,
        ended_at = coalesce(i.ended_at, clock_timestamp()),
        undone_by = import_undo.change_id
    WHERE i.import_id = p_import_id;
END
$$;

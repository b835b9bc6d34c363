-- Take a change back. One that touched only what creates no rights is undone at once: returns the
-- number of the new change. Any other is proposed for another person's approval: returns the
-- request's number. Raises exclusion_violation named `change_unknown`, `undone_already`,
-- `later_change` or by the rule that the former state would break.
CREATE OR REPLACE FUNCTION register.undo_change(
    p_change_id bigint, p_by text, p_reason text,
    OUT change_id bigint, OUT request_id bigint
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    PERFORM register.require_undoable(p_change_id);
    IF register.touched_rights(p_change_id) THEN
        INSERT INTO register.change_request (proposed_by, reason, source, source_reference)
        VALUES (p_by, p_reason, 'undo', p_change_id::text)
        RETURNING change_request.request_id INTO request_id;
    ELSE
        change_id := register.begin_change(
            p_by, p_reason, 'undo', p_change_id::text, NULL, p_change_id
        );
        PERFORM register.take_back(p_change_id);
        PERFORM cards.follow_change(change_id);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION register.undo_change(bigint, text, text) FROM public;

-- Raise unless the change is there, was not undone before, and nothing stands upon it.
CREATE OR REPLACE FUNCTION register.require_undoable(p_change_id bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    against CONSTANT text := CASE
        WHEN NOT EXISTS (
            SELECT FROM register.change AS c WHERE c.change_id = p_change_id
        ) THEN 'change_unknown'
        WHEN EXISTS (
            SELECT FROM register.change AS c WHERE c.undoes = p_change_id
        ) THEN 'undone_already'
        WHEN EXISTS (
            SELECT FROM register.standing_upon(p_change_id)
        ) THEN 'later_change'
    END;
BEGIN
    IF against IS NOT NULL THEN
        RAISE EXCEPTION 'change % cannot be undone: %', p_change_id, against
            USING ERRCODE = 'exclusion_violation', CONSTRAINT = against;
    END IF;
END
$$;
REVOKE ALL ON FUNCTION register.require_undoable(bigint) FROM public, spk_register;

-- Whether a change made, changed or removed a record that rights rest on.
CREATE OR REPLACE FUNCTION register.touched_rights(p_change_id bigint) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
SELECT EXISTS (
    SELECT FROM register.record_kind AS k
    WHERE k.creates_rights AND (
        EXISTS (
            SELECT FROM register.history AS h
            WHERE h.kind = k.kind AND h.ended_by = p_change_id
        )
        OR EXISTS (
            SELECT FROM register.record AS r
            WHERE r.kind = k.kind AND r.change_id = p_change_id
        )
    )
);
$$;
REVOKE ALL ON FUNCTION register.touched_rights(bigint) FROM public, spk_register;

-- What stands in the way of undoing a change: the kinds of records concerned, and the later change.
CREATE OR REPLACE FUNCTION register.later_changes(p_change_id bigint)
RETURNS TABLE (kind text, change_id bigint, records bigint, made_by text, made_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
SELECT s.kind, s.change_id, count(*), c.made_by, c.made_at
FROM register.standing_upon(p_change_id) AS s
INNER JOIN register.change AS c ON s.change_id = c.change_id
GROUP BY s.kind, s.change_id, c.made_by, c.made_at
ORDER BY s.change_id, s.kind;
$$;
REVOKE ALL ON FUNCTION register.later_changes(bigint) FROM public;

-- Approve a request and make its change, or refuse it with a reason. Returns the change's number,
-- NULL when refused. Raises exclusion_violation named `request_unknown`, `decided_already`,
-- `another_person_decides` or by the rule that the change would break; then nothing was written.
CREATE OR REPLACE FUNCTION register.decide_request(
    p_request_id bigint, p_by text, p_approve boolean, p_reason text
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    asked register.change_request;
    made bigint;
BEGIN
    SELECT r.* INTO asked FROM register.change_request AS r
    WHERE r.request_id = p_request_id FOR UPDATE;
    PERFORM register.require_open(asked, p_by);
    IF p_approve THEN
        made := register.begin_change(
            asked.proposed_by, asked.reason, 'request', asked.request_id::text, p_by,
            CASE WHEN asked.source = 'undo' THEN asked.source_reference::bigint END
        );
        IF asked.source = 'undo' THEN
            PERFORM register.take_back(asked.source_reference::bigint);
        ELSE
            PERFORM register.apply_edits(ARRAY(
                SELECT ROW(e.kind, e.record_id, e.base_version, e.body)::register.edit
                FROM register.requested_edit AS e
                WHERE e.request_id = p_request_id ORDER BY e.ordinal
            ));
        END IF;
        PERFORM register.pass_rights_on(made);
        PERFORM cards.follow_change(made);
    END IF;
    UPDATE register.change_request AS r SET
        decision = CASE WHEN p_approve THEN 'approved' ELSE 'refused' END,
        decided_by = p_by, decided_at = clock_timestamp(), decision_reason = p_reason,
        change_id = made
    WHERE r.request_id = p_request_id;
    RETURN made;
END
$$;
REVOKE ALL ON FUNCTION register.decide_request(bigint, text, boolean, text) FROM public;

-- Raise unless the request is there, undecided, and somebody else's.
CREATE OR REPLACE FUNCTION register.require_open(
    p_request register.change_request, p_by text
) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    against CONSTANT text := CASE
        WHEN (p_request).request_id IS NULL THEN 'request_unknown'
        WHEN (p_request).decision IS NOT NULL THEN 'decided_already'
        WHEN (p_request).proposed_by = p_by THEN 'another_person_decides'
    END;
BEGIN
    IF against IS NOT NULL THEN
        RAISE EXCEPTION 'the request cannot be decided: %', against
            USING ERRCODE = 'exclusion_violation', CONSTRAINT = against;
    END IF;
END
$$;
REVOKE ALL ON FUNCTION register.require_open(register.change_request, text)
FROM public, spk_register;

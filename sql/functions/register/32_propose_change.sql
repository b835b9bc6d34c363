-- Keep edits for another person to decide on; return the request's number. They are tried first, so
-- that what cannot be is refused to the person who asks for it, not to the one who approves.
CREATE OR REPLACE FUNCTION register.propose_change(
    p_by text, p_reason text, p_source text, p_source_reference text, p_asked_by_citizen uuid,
    p_edits register.edit[]
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    asked bigint;
BEGIN
    PERFORM register.try_edits(p_by, p_reason, p_edits);
    INSERT INTO register.change_request (
        proposed_by, reason, source, source_reference, asked_by_citizen
    ) VALUES (p_by, p_reason, p_source, p_source_reference, p_asked_by_citizen)
    RETURNING request_id INTO asked;
    INSERT INTO register.requested_edit (request_id, ordinal, kind, record_id, base_version, body)
    SELECT asked, e.ordinal, e.kind, e.record_id, e.base_version, e.body
    FROM unnest(p_edits) WITH ORDINALITY AS e (kind, record_id, base_version, body, ordinal);
    RETURN asked;
END
$$;
REVOKE ALL ON FUNCTION register.propose_change(
    text, text, text, text, uuid, register.edit[]
) FROM public;

-- Apply edits and take them back: raises what applying would raise, and leaves nothing.
CREATE OR REPLACE FUNCTION register.try_edits(
    p_by text, p_reason text, p_edits register.edit[]
) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    tried bigint;
BEGIN
    tried := register.begin_change(p_by, p_reason, 'trial');
    PERFORM register.apply_edits(p_edits);
    PERFORM register.pass_rights_on(tried);
    RAISE EXCEPTION 'it was a trial' USING ERRCODE = 'SPK00';
EXCEPTION WHEN SQLSTATE 'SPK00' THEN
    RETURN;
END
$$;
REVOKE ALL ON FUNCTION register.try_edits(text, text, register.edit[]) FROM public, spk_register;

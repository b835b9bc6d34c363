-- Put a proposed version in force from its first day. The version before it ends on the day
-- before; what was decided under it stays as it was decided. `p_body_sha256` names the very text
-- that was looked at, so that a draft changed meanwhile is not approved by mistake.
-- Returns NULL, or what stands against it (processing.regulations.publication.Refusal); then
-- nothing was written.
CREATE OR REPLACE FUNCTION regulations.approve(
    p_rows regulations.version_rows, p_body_sha256 bytea, p_by text, p_at timestamptz,
    p_today date
) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    draft regulations.document;
    before regulations.service;
BEGIN
    SELECT d.* INTO draft FROM regulations.document AS d
    WHERE d.service = (p_rows.service).service AND d.version = (p_rows.service).version
    FOR UPDATE;
    SELECT s.* INTO before FROM regulations.service AS s
    WHERE s.service = draft.service AND s.version = draft.version - 1;
    IF draft.service IS NULL THEN
        RETURN 'not proposed';
    ELSIF draft.approved_by IS NOT NULL THEN
        RETURN 'approved already';
    ELSIF draft.body_sha256 <> p_body_sha256 THEN
        RETURN 'changed meanwhile';
    ELSIF draft.proposed_by = p_by THEN
        RETURN 'same person';
    ELSIF before.version IS NOT NULL
        AND draft.valid_from <= greatest(p_today, before.valid_from) THEN
        RETURN 'begins too early';
    END IF;
    UPDATE regulations.document SET approved_by = p_by, approved_at = p_at
    WHERE document.service = draft.service AND document.version = draft.version;
    UPDATE regulations.service SET valid_to = draft.valid_from - 1
    WHERE service.service = before.service AND service.version = before.version
        AND service.valid_to >= draft.valid_from;
    PERFORM regulations.put_version(p_rows);
    RETURN NULL;
END
$$;

-- Keep a draft for a second person to look at. A draft that nobody approved yet is replaced; what
-- was approved is never changed. Its number is the next after the versions in force.
-- Returns NULL, or what stands against it (processing.regulations.publication.Refusal); then
-- nothing was written.
CREATE OR REPLACE FUNCTION regulations.propose(
    p_service text, p_version integer, p_body bytea, p_valid_from date, p_by text,
    p_at timestamptz
) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
    IF p_version <> 1 + coalesce((
        SELECT max(s.version) FROM regulations.service AS s WHERE s.service = p_service
    ), 0) THEN
        RETURN 'not the next version';
    END IF;
    INSERT INTO regulations.document (
        service, version, body, body_sha256, valid_from, proposed_by, proposed_at
    ) VALUES (
        p_service, p_version, p_body, sha256(p_body), p_valid_from, p_by, p_at
    )
    ON CONFLICT (service, version) DO UPDATE SET
        body = excluded.body, body_sha256 = excluded.body_sha256,
        valid_from = excluded.valid_from, proposed_by = excluded.proposed_by,
        proposed_at = excluded.proposed_at;
    RETURN NULL;
END
$$;

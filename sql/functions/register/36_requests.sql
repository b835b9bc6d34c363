-- The requests that nobody decided on yet, the oldest first, after `p_after` (a request_id). They
-- tell who asks what kind of change and why, and nothing of what is in the records.
CREATE OR REPLACE FUNCTION register.open_requests(p_after bigint, p_count integer)
RETURNS TABLE (
    request_id bigint, proposed_by text, proposed_at timestamptz, reason text, source text,
    source_reference text, kinds text[]
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
SELECT
    r.request_id, r.proposed_by, r.proposed_at, r.reason, r.source, r.source_reference,
    ARRAY(
        SELECT DISTINCT e.kind FROM register.requested_edit AS e
        WHERE e.request_id = r.request_id ORDER BY e.kind
    )
FROM register.change_request AS r
WHERE r.decision IS NULL AND r.request_id > p_after
ORDER BY r.request_id
LIMIT p_count;
$$;
REVOKE ALL ON FUNCTION register.open_requests(bigint, integer) FROM public;

-- A request with its edits: the record as it is now, and what it would become (NULL: removed). The
-- read is logged.
CREATE OR REPLACE FUNCTION register.read_request(p_request_id bigint, p_by text, p_purpose text)
RETURNS TABLE (
    ordinal smallint, kind text, record_id uuid, base_version integer, version integer,
    before jsonb, body jsonb
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    PERFORM register.log_read(
        p_by, p_purpose, 'request',
        ARRAY(
            SELECT DISTINCT w.citizen_id FROM (
                SELECT r.citizen_id FROM register.requested_edit AS e
                CROSS JOIN LATERAL register.one_record(e.kind, e.record_id) AS r
                WHERE e.request_id = p_request_id
                UNION ALL
                SELECT (e.body ->> 'citizen_id')::uuid FROM register.requested_edit AS e
                WHERE e.request_id = p_request_id
            ) AS w
            WHERE w.citizen_id IS NOT NULL
        ), '{}',
        ARRAY(
            SELECT DISTINCT e.kind FROM register.requested_edit AS e
            WHERE e.request_id = p_request_id
        )
    );
    RETURN QUERY
    SELECT e.ordinal, e.kind, e.record_id, e.base_version, r.version, r.body, e.body
    FROM register.requested_edit AS e
    LEFT JOIN LATERAL register.one_record(e.kind, e.record_id) AS r ON TRUE
    WHERE e.request_id = p_request_id
    ORDER BY e.ordinal;
END
$$;
REVOKE ALL ON FUNCTION register.read_request(bigint, text, text) FROM public;

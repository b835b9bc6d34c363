-- Test each request against everything but allowances, in the order of outcomes
-- (processing/wire/outcome.py): the first rule that applies is its refusal, NULL if none does.
-- An inquiry names no service (ALL), so the rules of services pass it by; it consumes nothing.
-- Only an advice that the card signed has happened (mode 3): one without proof is refused by the
-- same rules as any request.
CREATE OR REPLACE FUNCTION engine.judge(
    p_requests engine.request[], p_decided_at timestamptz, p_posting_date date
) RETURNS SETOF engine.judgement
LANGUAGE sql STABLE ROWS 256 AS $$
    WITH fact AS (
        SELECT
            r.ordinal, r.bucket, r.holder_id, r.service, r.service_version, r.business_date,
            r.advice, r.evidence, r.proof, r.kind, r.signed_at, r.closed,
            t.state AS terminal_state, a.card_state, a.card_valid_to, a.scope,
            a.valid_from AS authority_from, a.valid_to AS authority_to,
            s.consumes, s.shortage, s.evidence AS evidence_needed, s.valid_from AS service_from,
            s.valid_to + s.grace_days AS service_to, latest.version AS latest_version,
            (CASE WHEN r.advice THEN r.signed_at ELSE p_decided_at END
                AT TIME ZONE region.time_zone)::date AS local_date,
            here.service IS NOT NULL AS service_here
        FROM unnest(p_requests) AS r
        LEFT JOIN LATERAL (
            SELECT t.state, t.region FROM terminals.terminal AS t
            WHERE t.terminal_id = r.terminal_id LIMIT 1
        ) AS t ON TRUE
        LEFT JOIN LATERAL (
            SELECT a.card_state, a.card_valid_to, a.scope, a.valid_from, a.valid_to, a.region
            FROM rights.card_authority AS a
            WHERE a.bucket = r.bucket AND a.holder_id = r.holder_id AND a.card_id = r.card_id
            LIMIT 1
        ) AS a ON TRUE
        LEFT JOIN LATERAL (
            SELECT g.time_zone FROM regulations.region AS g
            WHERE g.region = coalesce(a.region, t.region) LIMIT 1
        ) AS region ON TRUE
        LEFT JOIN LATERAL (
            SELECT s.consumes, s.shortage, s.evidence, s.valid_from, s.valid_to, s.grace_days
            FROM regulations.service AS s
            WHERE s.service = r.service AND s.version = r.service_version LIMIT 1
        ) AS s ON TRUE
        LEFT JOIN LATERAL (
            -- the newest that has begun; a published one may lie in the future
            SELECT l.version FROM regulations.service AS l
            WHERE l.service = r.service
            ORDER BY l.valid_from <= p_posting_date DESC, l.version DESC LIMIT 1
        ) AS latest ON TRUE
        LEFT JOIN LATERAL (
            SELECT h.service FROM terminals.terminal_service AS h
            WHERE h.terminal_id = r.terminal_id AND h.service = r.service LIMIT 1
        ) AS here ON TRUE
    ), ruled AS (
        SELECT
            f.*,
            CASE
                WHEN f.terminal_state IS DISTINCT FROM 1 THEN 202
                WHEN f.business_date NOT BETWEEN p_posting_date - 3 AND p_posting_date + 1 THEN 203
                WHEN f.signed_at > p_decided_at + interval '15 minutes' THEN 203
                WHEN NOT f.advice AND f.signed_at < p_decided_at - interval '15 minutes' THEN 203
                WHEN f.closed THEN 204
                WHEN f.proof = 2 THEN 301
                WHEN f.proof IS DISTINCT FROM 1 THEN 302
                WHEN f.card_state <> 1 THEN 303
                WHEN f.card_valid_to < f.local_date THEN 304
                WHEN f.card_state IS NULL THEN 305
                WHEN f.local_date NOT BETWEEN f.authority_from AND f.authority_to THEN 305
                WHEN f.kind <> 1 AND f.scope IS NOT NULL AND f.service <> ALL (f.scope) THEN 305
                WHEN f.kind = 1 AND f.service = 'ALL' THEN NULL
                WHEN f.latest_version IS NULL THEN 401
                WHEN NOT f.service_here THEN 402
                WHEN f.kind = 1 THEN NULL
                WHEN f.service_from IS NULL THEN 403
                WHEN f.local_date NOT BETWEEN f.service_from AND f.service_to THEN 403
                WHEN f.evidence < f.evidence_needed THEN 404
            END AS refusal
        FROM fact AS f
    )
    SELECT
        d.ordinal, d.bucket, d.holder_id, d.service, d.service_version,
        coalesce(d.local_date, p_posting_date),
        -- what a reversal took back before it came takes nothing, not even as an excess
        CASE WHEN d.kind = 3 AND NOT coalesce(d.closed, FALSE) THEN d.consumes END,
        CASE WHEN d.advice AND d.kind = 3 AND d.proof = 1 THEN 3 ELSE d.shortage END::smallint,
        d.refusal::smallint,
        CASE d.refusal
            WHEN 203 THEN jsonb_build_object(
                'centre', to_char(p_decided_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
                'signed', to_char(d.signed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
            )
            WHEN 304 THEN jsonb_build_object('valid_to', d.card_valid_to)
            WHEN 403 THEN jsonb_build_object('version', d.latest_version::text)
        END
    FROM ruled AS d
$$;

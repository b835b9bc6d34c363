-- The refusal of a request by everything but allowances, in the order of outcomes
-- (processing/wire/outcome.py): the first rule that applies, NULL if none does.
-- An inquiry names no service (ALL), so the rules of services pass it by; it consumes nothing.
CREATE OR REPLACE FUNCTION engine.refusal(
    p_kind smallint, p_advice boolean, p_closed boolean, p_business_date date,
    p_signed_at timestamptz, p_local_date date, p_proof smallint, p_evidence smallint,
    p_service text, p_terminal_state smallint, p_service_here text, p_card_state smallint,
    p_card_valid_to date, p_authority_from date, p_authority_to date, p_scope text[],
    p_latest_version integer, p_service_from date, p_service_to date, p_evidence_needed smallint,
    p_reserve_minutes integer, p_visit smallint, p_lacking text, p_decided_at timestamptz,
    p_posting_date date
) RETURNS smallint
LANGUAGE sql STABLE
RETURN CASE
    WHEN p_terminal_state IS DISTINCT FROM 1 THEN 202
    WHEN p_business_date NOT BETWEEN p_posting_date - 3 AND p_posting_date + 1 THEN 203
    WHEN p_signed_at > p_decided_at + interval '15 minutes' THEN 203
    WHEN NOT p_advice AND p_signed_at < p_decided_at - interval '15 minutes' THEN 203
    WHEN p_closed THEN 204
    WHEN p_proof = 2 THEN 301
    WHEN p_proof IS DISTINCT FROM 1 THEN 302
    WHEN p_card_state <> 1 THEN 303
    WHEN p_card_valid_to < p_local_date THEN 304
    WHEN p_card_state IS NULL THEN 305
    WHEN p_local_date NOT BETWEEN p_authority_from AND p_authority_to THEN 305
    WHEN p_kind <> 1 AND p_scope IS NOT NULL AND array_position(p_scope, p_service) IS NULL
        THEN 305
    WHEN p_kind = 1 AND p_service = 'ALL' THEN NULL
    -- what was sold may come back, what was begun may be finished, after its regulation has ended
    WHEN p_kind IN (5, 8) THEN NULL
    WHEN p_latest_version IS NULL THEN 401
    WHEN p_service_here IS NULL THEN 402
    WHEN p_kind = 1 THEN NULL
    WHEN p_service_from IS NULL THEN 403
    WHEN p_local_date NOT BETWEEN p_service_from AND p_service_to THEN 403
    WHEN
        CASE p_kind
            WHEN 3 THEN p_visit = 2
            WHEN 2 THEN p_reserve_minutes IS NULL OR p_visit > 0
            WHEN 7 THEN p_visit = 0
        END
        THEN 403
    WHEN p_evidence < p_evidence_needed THEN 404
    WHEN p_lacking IS NOT NULL THEN 601
END::smallint;

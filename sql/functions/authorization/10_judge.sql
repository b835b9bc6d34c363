-- Test each request against everything but allowances (engine.refusal).
-- Only an advice that the card signed has happened (mode 3): one without proof is refused by the
-- same rules as any request.
-- What a batch shares (terminals, services, regions) is read once for the batch and hashed; a card
-- is looked up for each request. Written to be inlined, like engine.claims, which calls it: one
-- SELECT, no SET, not VOLATILE.
CREATE OR REPLACE FUNCTION engine.judge(
    p_requests engine.request[], p_terminal_ids text[], p_services text[],
    p_decided_at timestamptz, p_posting_date date
) RETURNS TABLE (
    ordinal smallint,
    bucket smallint,
    holder_id uuid,
    service text,
    service_version integer,
    local_date date,
    latest_version integer,
    card_valid_to date,
    signed_at timestamptz,
    -- what a line takes from an allowance (regulations.service); NULL: nothing, as in an inquiry
    consumes smallint,
    -- of a reserve or a visit's start: how long it would stand, 0 if the service takes none; NULL
    -- of all else
    reserve_minutes integer,
    -- when the allowance is short: 1 refuse, 2 cover what is left, 3 record the excess (advice)
    mode smallint,
    refusal smallint,
    -- regulations.service
    substitution boolean,
    refill_percent smallint,
    refill_days smallint
)
LANGUAGE sql STABLE ROWS 256 AS $$
    SELECT
        d.ordinal, d.bucket, d.holder_id, d.service, d.service_version,
        coalesce(d.local_date, p_posting_date), d.latest_version, d.card_valid_to,
        d.signed_at,
        -- what a reversal took back before it came takes nothing, not even as an excess
        CASE WHEN d.kind IN (2, 3, 7) AND NOT coalesce(d.closed, FALSE) THEN d.consumes END,
        CASE WHEN d.kind IN (2, 7) AND d.service_from IS NOT NULL
            THEN CASE WHEN (d.kind = 7) = (d.visit > 0) THEN coalesce(d.reserve_minutes, 0) ELSE 0 END
        END,
        CASE WHEN d.advice AND d.kind IN (2, 3, 7) AND d.proof = 1 THEN 3 ELSE d.shortage END::smallint,
        engine.refusal(
            d.kind, d.advice, d.closed, d.business_date, d.signed_at, d.local_date, d.proof,
            d.evidence, d.service, d.terminal_state, d.service_here, d.card_state,
            d.card_valid_to, d.authority_from, d.authority_to, d.scope, d.latest_version,
            d.service_from, d.service_to, d.evidence_needed, d.reserve_minutes, d.visit,
            CASE WHEN d.conditional THEN engine.lacking(
                d.bucket, d.holder_id, d.service, d.service_version, d.terminal_id, d.local_date
            ) END,
            p_decided_at, p_posting_date
        ),
        coalesce(d.substitution, TRUE), d.refill_percent, d.refill_days
    FROM (
        SELECT
            r.ordinal, r.bucket, r.holder_id, r.service, r.service_version, r.business_date,
            r.advice, r.evidence, r.proof, r.kind, r.signed_at, r.closed, r.terminal_id,
            s.visit, s.conditional, s.substitution, s.refill_percent, s.refill_days,
            t.state AS terminal_state, a.card_state, a.card_valid_to, a.scope,
            a.valid_from AS authority_from, a.valid_to AS authority_to,
            s.consumes, s.reserve_minutes, s.shortage, s.evidence AS evidence_needed, s.valid_from AS service_from,
            s.valid_to + s.grace_days AS service_to, latest.version AS latest_version,
            here.service AS service_here,
            (CASE WHEN r.advice THEN r.signed_at ELSE p_decided_at END
                AT TIME ZONE region.time_zone)::date AS local_date
        FROM unnest(p_requests) AS r
        LEFT JOIN terminals.terminal AS t
            ON r.terminal_id = t.terminal_id AND t.terminal_id = ANY (p_terminal_ids)
        LEFT JOIN LATERAL (
            SELECT a.card_state, a.card_valid_to, a.scope, a.valid_from, a.valid_to, a.region
            FROM rights.card_authority AS a
            WHERE a.bucket = r.bucket AND a.holder_id = r.holder_id AND a.card_id = r.card_id
            OFFSET 0
        ) AS a ON TRUE
        LEFT JOIN regulations.region AS region ON coalesce(a.region, t.region) = region.region
        LEFT JOIN regulations.service AS s
            ON r.service = s.service AND r.service_version = s.version
            AND s.service = ANY (p_services)
        LEFT JOIN (
            -- the newest that has begun; a published one may lie in the future
            SELECT DISTINCT ON (l.service) l.service, l.version FROM regulations.service AS l
            WHERE l.service = ANY (p_services)
            ORDER BY l.service, l.valid_from <= p_posting_date DESC, l.version DESC
        ) AS latest ON r.service = latest.service
        LEFT JOIN terminals.terminal_service AS here
            ON r.terminal_id = here.terminal_id AND r.service = here.service
            AND here.terminal_id = ANY (p_terminal_ids) AND here.service = ANY (p_services)
        -- a fence: the local date is worked out once, not wherever it is used
        OFFSET 0
    ) AS d
    OFFSET 0
$$;

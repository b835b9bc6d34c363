-- Write one event at a place of the block, and return the approval code it got ('' if declined).
-- p_local_date is the rights holder's day, p_paid_kopecks and p_covered_kopecks are by line; NULL
-- when nothing moved.
CREATE OR REPLACE FUNCTION engine.write_event(
    p_request engine.request, p_lane smallint, p_block bigint, p_place smallint,
    p_decided_at timestamptz, p_posting_date date, p_local_date date, p_outcome smallint,
    p_covered_kopecks bigint[], p_paid_kopecks bigint[], p_facts jsonb
) RETURNS text
LANGUAGE sql AS $$
    INSERT INTO journal.event (
        bucket, business_date, terminal_id, stan, message_class, assigned, lane, block, ordinal,
        kind, advice, evidence, card_id, holder_id, service, service_version,
        parent_business_date, parent_terminal_id, parent_stan, parent_message_class, signed_at,
        local_date, posting_date, decided_at, request_digest, request, signature, outcome,
        approval_code, covered_kopecks, paid_kopecks, facts
    ) VALUES (
        p_request.bucket, p_request.business_date, p_request.terminal_id, p_request.stan,
        p_request.message_class, p_request.assigned, p_lane, p_block, p_place, p_request.kind,
        p_request.advice, p_request.evidence, p_request.card_id, p_request.holder_id,
        p_request.service, p_request.service_version, p_request.parent_business_date,
        p_request.parent_terminal_id, p_request.parent_stan, p_request.parent_message_class,
        p_request.signed_at, p_local_date, p_posting_date, p_decided_at,
        p_request.request_digest, p_request.request, p_request.signature, p_outcome,
        CASE WHEN p_outcome > 700
            THEN engine.approval_code(p_lane, p_block, p_place::integer) ELSE '' END,
        p_covered_kopecks, p_paid_kopecks, p_facts
    ) RETURNING approval_code
$$;

-- Write parts of lines under a request's key; whatever key they bear.
CREATE OR REPLACE FUNCTION engine.write_lines(
    p_request engine.request, p_parts journal.line[]
) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO journal.line (
        bucket, business_date, terminal_id, stan, message_class, assigned, line_no, part, item,
        quantity, gross_kopecks, covered_kopecks, paid_kopecks, allowance_id, period_start,
        debited, excess, entitlement_id, measure, category, funding, tariff
    )
    SELECT
        p_request.bucket, p_request.business_date, p_request.terminal_id, p_request.stan,
        p_request.message_class, p_request.assigned, p.line_no, p.part, p.item, p.quantity,
        p.gross_kopecks, p.covered_kopecks, p.paid_kopecks, p.allowance_id, p.period_start,
        p.debited, p.excess, p.entitlement_id, p.measure, p.category, p.funding, p.tariff
    FROM unnest(p_parts) AS p
$$;

-- The answer to one request that was decided at p_place of the block at hand.
CREATE OR REPLACE FUNCTION engine.answer_to(
    p_request engine.request, p_place smallint, p_outcome smallint, p_approval_code text,
    p_covered_kopecks bigint[], p_paid_kopecks bigint[], p_facts jsonb
) RETURNS engine.answer
LANGUAGE sql IMMUTABLE AS $$
    SELECT
        p_request.ordinal, FALSE, p_outcome, p_approval_code, NULL::date, NULL::timestamptz,
        NULL::smallint, NULL::bigint, p_place, p_covered_kopecks, p_paid_kopecks, p_facts,
        NULL::engine.balance []
$$;

-- Take back one transaction. What the original debited returns to its allowance and period, and
-- its lines stand in the journal once more with the opposite sign.
-- A reversal whose original is unknown closes the original's key, so that a late original is
-- refused (204); an original that was declined or taken back before leaves nothing to do. Each of
-- these is approved: the terminal's wish holds. Only a reversal that names something else than the
-- original (other card, other holder, not a service) is refused, and one whose original lies in a
-- closed month: nothing is taken back there any more (501).
-- Raises 23505 when the original is being decided, or taken back, elsewhere at this moment.
CREATE OR REPLACE FUNCTION engine.reverse(
    p_request engine.request, p_lane smallint, p_block bigint, p_place smallint,
    p_decided_at timestamptz, p_posting_date date, OUT answer engine.answer, OUT written smallint
)
LANGUAGE plpgsql AS $$
DECLARE
    original journal.event;
    taken_back journal.reversal;
    outcome smallint := 703;
    facts jsonb;
    covered bigint [];
    paid bigint [];
    local_day date := p_posting_date;
BEGIN
    SELECT e.* INTO original FROM journal.event AS e
    WHERE e.business_date = p_request.parent_business_date
        AND e.terminal_id = p_request.parent_terminal_id
        AND e.stan = p_request.parent_stan
        AND e.message_class = p_request.parent_message_class
    -- Of several under one key (an advice's key was taken) the card's own, given rather than
    -- declined, the latest.
    ORDER BY
        (e.card_id, e.holder_id) = (p_request.card_id, p_request.holder_id) DESC,
        e.covered_kopecks IS NOT NULL DESC, e.assigned DESC
    LIMIT 1;
    SELECT v.* INTO taken_back FROM journal.reversal AS v
    WHERE v.business_date = p_request.parent_business_date
        AND v.terminal_id = p_request.parent_terminal_id
        AND v.stan = p_request.parent_stan
        AND v.message_class = p_request.parent_message_class;

    written := 1;
    IF p_request.parent_terminal_id <> p_request.terminal_id
        OR p_request.parent_message_class = 4 THEN
        outcome := 502;
        facts := jsonb_build_object('field', 'parent');
    ELSIF p_request.parent_business_date < journal.closed_before() THEN
        outcome := 501;
        facts := jsonb_build_object('original', 'archived');
    ELSIF original.stan IS NULL THEN
        facts := jsonb_build_object('original', 'unknown');
        written := 2;
    ELSIF original.outcome = 204 OR taken_back.stan IS NOT NULL THEN
        facts := jsonb_build_object('original', 'reversed');
    ELSIF (original.card_id, original.holder_id, original.bucket)
        IS DISTINCT FROM (p_request.card_id, p_request.holder_id, p_request.bucket) THEN
        outcome := 502;
        facts := jsonb_build_object('field', 'card or holder');
    ELSIF original.kind <> 3 THEN
        outcome := 502;
        facts := jsonb_build_object('field', 'kind');
    ELSIF original.covered_kopecks IS NULL THEN
        facts := jsonb_build_object('original', 'declined');
    ELSE
        covered := original.covered_kopecks;
        paid := original.paid_kopecks;
    END IF;
    local_day := coalesce(original.local_date, local_day);

    -- The claim comes before the debits return: of two reversals at once one waits here.
    IF covered IS NOT NULL OR written = 2 THEN
        INSERT INTO journal.reversal (
            business_date, terminal_id, stan, message_class, reversal_business_date, reversal_stan
        ) VALUES (
            p_request.parent_business_date, p_request.parent_terminal_id, p_request.parent_stan,
            p_request.parent_message_class, p_request.business_date, p_request.stan
        );
    END IF;
    IF covered IS NOT NULL THEN
        PERFORM engine.return_debits(original);
    END IF;

    INSERT INTO journal.event (
        bucket, business_date, terminal_id, stan, message_class, assigned, lane, block, ordinal,
        kind, advice, evidence, card_id, holder_id, service, service_version,
        parent_business_date, parent_terminal_id, parent_stan, parent_message_class, signed_at,
        local_date, posting_date, decided_at, request_digest, request, signature, outcome,
        approval_code, covered_kopecks, paid_kopecks, facts
    )
    SELECT
        p_request.bucket, k.business_date, p_request.terminal_id, k.stan, k.message_class,
        k.assigned, p_lane, p_block, k.place, p_request.kind, p_request.advice,
        p_request.evidence, p_request.card_id, p_request.holder_id, p_request.service,
        p_request.service_version, p_request.parent_business_date, p_request.parent_terminal_id,
        p_request.parent_stan, p_request.parent_message_class, p_request.signed_at, local_day,
        p_posting_date, p_decided_at, k.digest, p_request.request, p_request.signature,
        k.outcome, k.approval_code, k.covered, k.paid, k.facts
    FROM (
        VALUES (
            p_request.business_date, p_request.stan, p_request.message_class,
            p_request.assigned, p_place, p_request.request_digest, outcome,
            CASE WHEN outcome > 700
                THEN engine.approval_code(p_lane, p_block, p_place) ELSE '' END,
            covered, paid, facts
        ), (
            p_request.parent_business_date, p_request.parent_stan,
            p_request.parent_message_class, 0::smallint, (p_place + 1)::smallint,
            decode(repeat('00', 32), 'hex'), 204::smallint, '', NULL, NULL, facts
        )
    ) AS k (
        business_date, stan, message_class, assigned, place, digest, outcome, approval_code,
        covered, paid, facts
    )
    LIMIT written;

    IF covered IS NOT NULL THEN
        INSERT INTO journal.line (
            bucket, business_date, terminal_id, stan, message_class, assigned, line_no, part,
            item, quantity, gross_kopecks, covered_kopecks, paid_kopecks, allowance_id,
            period_start, debited, excess, entitlement_id, measure, category, funding, tariff
        )
        SELECT
            l.bucket, p_request.business_date, p_request.terminal_id, p_request.stan,
            p_request.message_class, p_request.assigned, l.line_no, l.part, l.item, -l.quantity,
            -l.gross_kopecks, -l.covered_kopecks, -l.paid_kopecks, l.allowance_id,
            l.period_start, -l.debited, -l.excess, l.entitlement_id, l.measure, l.category,
            l.funding, l.tariff
        FROM engine.lines_of(original) AS l;
    END IF;
    answer := ROW(
        p_request.ordinal, FALSE, outcome,
        CASE WHEN outcome > 700 THEN engine.approval_code(p_lane, p_block, p_place) ELSE '' END,
        NULL, NULL, NULL, NULL, p_place, covered, paid, facts, NULL
    )::engine.answer;
END
$$;

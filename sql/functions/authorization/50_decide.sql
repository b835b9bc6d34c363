-- Decide fresh sales, reserves and inquiries and write what they leave behind: events at p_place
-- and after, in the order given. Returns their answers. Raises 40001 when another worker took what
-- this batch counted on, and 23505 when the same key is being decided elsewhere at this moment: the
-- caller then tries the batch again.
--
-- One statement, so that rows flow from step to step without being packed. Counters are read
-- without a lock and raised by an upsert that checks the limit again on the row as it then is.
-- Counters before keys, each in one order, so that two batches cannot block each other in a circle:
-- `balanced` is what keys, lines and answers wait for.
CREATE OR REPLACE FUNCTION engine.decide(
    p_requests engine.request[], p_lines engine.line[], p_terminal_ids text[], p_services text[],
    p_lane smallint, p_block bigint, p_place smallint, p_decided_at timestamptz,
    p_posting_date date
) RETURNS SETOF engine.answer
LANGUAGE plpgsql ROWS 256 AS $$
BEGIN
    RETURN QUERY
    WITH claim AS MATERIALIZED (
        SELECT c.* FROM engine.claims(
            p_requests, p_lines, p_terminal_ids, p_services, p_decided_at, p_posting_date
        ) AS c
    ), verdict AS MATERIALIZED (
        SELECT v.o_rulings, v.o_parts
        FROM (
            SELECT
                array_agg(c.claim_no) AS claim_no, array_agg(c.slot) AS slot,
                array_agg(c.ordinal) AS ordinal, array_agg(c.line_no) AS line_no,
                array_agg(c.mode) AS mode, array_agg(c.refusal) AS refusal,
                array_agg(c.consumes) AS consumes, array_agg(c.malformed) AS malformed,
                array_agg(c.need) AS need, array_agg(c.remaining) AS remaining,
                array_agg(c.refill_floor) AS refill_floor,
                array_agg(c.quantity) AS quantity, array_agg(c.gross_kopecks) AS gross_kopecks
            FROM (
                SELECT c.* FROM claim AS c
                ORDER BY c.ordinal, c.line_no, c.priority, c.valid_to, c.allowance_id
            ) AS c
        ) AS a
        CROSS JOIN LATERAL engine.allot(
            a.claim_no, a.slot, a.ordinal, a.line_no, a.mode, a.refusal, a.consumes, a.malformed,
            a.need, a.remaining, a.refill_floor, a.quantity, a.gross_kopecks
        ) AS v
    ), part AS MATERIALIZED (
        SELECT
            c.ordinal, c.line_no, p.part, c.item, p.quantity, p.gross_kopecks, p.debited,
            p.excess, p.remaining, c.item_class, c.allowance_unit_okei, c.allowance_scale,
            c.granted, c.percent, c.period_end, c.bucket,
            -- what no allowance covers names none
            CASE WHEN p.debited > 0 THEN c.allowance_id END AS allowance_id,
            CASE WHEN p.debited > 0 THEN c.period_start END AS period_start,
            CASE WHEN p.debited > 0 THEN c.entitlement_id END AS entitlement_id,
            CASE WHEN p.debited > 0 THEN c.measure END AS measure,
            CASE WHEN p.debited > 0 THEN c.category END AS category,
            CASE WHEN p.debited > 0 THEN c.funding END AS funding,
            CASE WHEN p.debited > 0 THEN c.tariff END AS tariff,
            CASE
                WHEN p.debited = 0 THEN 0
                WHEN c.consumes = 2 THEN p.debited
                ELSE engine.covered_kopecks(
                    p.gross_before_kopecks + p.gross_kopecks, c.gross_kopecks, c.quantity,
                    c.scale, c.cap_kopecks, c.percent
                ) - CASE WHEN p.gross_before_kopecks > 0 THEN engine.covered_kopecks(
                    p.gross_before_kopecks, c.gross_kopecks, c.quantity, c.scale, c.cap_kopecks,
                    c.percent
                ) ELSE 0 END
            END AS covered_kopecks
        FROM unnest((SELECT v.o_parts FROM verdict AS v)) AS p
        INNER JOIN claim AS c ON p.claim_no = c.claim_no
    ), debit AS MATERIALIZED (
        SELECT p.bucket, p.allowance_id, p.period_start, sum(p.debited) AS used, p.granted
        FROM part AS p
        WHERE p.debited > 0
        GROUP BY p.bucket, p.allowance_id, p.period_start, p.granted
        ORDER BY p.bucket, p.allowance_id, p.period_start
    ), raised AS (
        INSERT INTO rights.counter AS c (bucket, allowance_id, period_start, used, granted)
        SELECT d.bucket, d.allowance_id, d.period_start, d.used, d.granted FROM debit AS d
        ON CONFLICT (bucket, allowance_id, period_start) DO UPDATE
        SET used = c.used + excluded.used, granted = excluded.granted
        WHERE c.used + excluded.used <= excluded.granted
        RETURNING 1
    ), balanced AS MATERIALIZED (
        SELECT (SELECT count(*) FROM raised) = (SELECT count(*) FROM debit) AS holds
    ), total AS (
        SELECT t.ordinal, array_agg(t.covered ORDER BY t.line_no) AS covered,
            array_agg(t.gross - t.covered ORDER BY t.line_no) AS paid
        FROM (
            SELECT p.ordinal, p.line_no, sum(p.covered_kopecks)::bigint AS covered,
                sum(p.gross_kopecks)::bigint AS gross
            FROM part AS p GROUP BY p.ordinal, p.line_no
        ) AS t
        GROUP BY t.ordinal
    ), balance AS (
        -- of an allowance that several lines drew on, what the last of them left
        SELECT l.ordinal, array_agg(ROW(
            l.item_class, l.allowance_unit_okei, l.allowance_scale, l.granted, l.remaining,
            l.percent, l.period_end
        )::engine.balance ORDER BY l.line_no, l.part) AS balances
        FROM (
            SELECT DISTINCT ON (p.ordinal, p.allowance_id) p.*
            FROM part AS p WHERE p.debited > 0
            ORDER BY p.ordinal, p.allowance_id, p.line_no DESC, p.part DESC
        ) AS l
        GROUP BY l.ordinal
    ), decided AS MATERIALIZED (
        SELECT
            g.ordinal, g.outcome, g.place, c.local_date, t.covered, t.paid,
            CASE WHEN g.outcome > 700
                THEN engine.approval_code(p_lane, p_block, g.place::integer) ELSE '' END AS approval_code,
            CASE WHEN g.outcome <> 703 OR c.reserve_minutes > 0 THEN engine.facts(
                -- rulings stand in the order of the requests, one for each
                p_requests[g.n], g.outcome, g.reason, c.line_no, c.item, c.unit_okei, g.remaining,
                c.need,
                CASE WHEN g.reason = 603 THEN c.course_from + engine.refill_after_days(
                    c.granted - g.remaining, c.granted, c.course_days, c.refill_percent,
                    c.refill_days
                ) ELSE c.period_end END,
                c.valid_to, c.local_date, c.card_valid_to, c.latest_version,
                p_decided_at, p_posting_date, c.reserve_minutes
            ) END AS facts
        FROM (
            SELECT g.*, (p_place + g.n - 1)::smallint AS place
            FROM unnest((SELECT v.o_rulings FROM verdict AS v)) WITH ORDINALITY AS g (
                ordinal, outcome, reason, claim_no, remaining, n
            )
        ) AS g
        INNER JOIN claim AS c ON g.claim_no = c.claim_no
        LEFT JOIN total AS t ON g.ordinal = t.ordinal
        WHERE (SELECT b.holds FROM balanced AS b)
    ), written AS (
        INSERT INTO journal.event (
            bucket, business_date, terminal_id, stan, message_class, assigned, lane, block,
            ordinal, kind, advice, evidence, card_id, holder_id, service, service_version,
            signed_at, local_date, posting_date, decided_at, request_digest, request, signature,
            outcome, approval_code, covered_kopecks, paid_kopecks, facts
        )
        SELECT
            r.bucket, r.business_date, r.terminal_id, r.stan, r.message_class, r.assigned,
            p_lane, p_block, d.place, r.kind, r.advice, r.evidence, r.card_id, r.holder_id,
            r.service, r.service_version, r.signed_at, d.local_date, p_posting_date,
            p_decided_at, r.request_digest, r.request, r.signature, d.outcome, d.approval_code,
            d.covered, d.paid, d.facts
        FROM decided AS d
        INNER JOIN unnest(p_requests) AS r ON d.ordinal = r.ordinal
        ORDER BY r.business_date, r.terminal_id, r.stan, r.message_class, r.assigned
    ), lined AS (
        INSERT INTO journal.line (
            bucket, business_date, terminal_id, stan, message_class, assigned, line_no, part,
            item, quantity, gross_kopecks, covered_kopecks, paid_kopecks, allowance_id,
            period_start, debited, excess, entitlement_id, measure, category, funding, tariff
        )
        SELECT
            r.bucket, r.business_date, r.terminal_id, r.stan, r.message_class, r.assigned,
            p.line_no, p.part, p.item, p.quantity, p.gross_kopecks, p.covered_kopecks,
            p.gross_kopecks - p.covered_kopecks, p.allowance_id, p.period_start, p.debited,
            p.excess, p.entitlement_id, p.measure, p.category, p.funding, p.tariff
        FROM part AS p
        INNER JOIN unnest(p_requests) AS r ON p.ordinal = r.ordinal
        WHERE (SELECT b.holds FROM balanced AS b)
    )
    SELECT
        d.ordinal, FALSE, d.outcome, d.approval_code, NULL::date, NULL::timestamptz,
        NULL::smallint, NULL::bigint, d.place, d.covered, d.paid, d.facts, b.balances
    FROM decided AS d
    LEFT JOIN balance AS b ON d.ordinal = b.ordinal;
    IF NOT found THEN
        RAISE EXCEPTION 'another worker debited the same allowance; decide the batch again'
        USING ERRCODE = 'serialization_failure';
    END IF;
END
$$;

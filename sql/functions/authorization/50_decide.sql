-- Decide fresh sales and inquiries and write what they leave behind: events at p_place and after,
-- in the order given. Returns their answers. Raises 40001 when another worker took what this batch
-- counted on, and 23505 when the same key is being decided elsewhere at this moment: the caller
-- then tries the batch again.
--
-- Counters are read without a lock and raised by an upsert that checks the limit again on the row
-- as it then is. Counters before keys, each in one order, so that two batches cannot block each
-- other in a circle.
CREATE OR REPLACE FUNCTION engine.decide(
    p_requests engine.request[], p_lines engine.line[], p_lane smallint, p_block bigint,
    p_place smallint, p_decided_at timestamptz, p_posting_date date
) RETURNS SETOF engine.answer
LANGUAGE plpgsql AS $$
DECLARE
    judgements engine.judgement [];
    claims engine.claim [];
    taken bigint [];
    unmet bigint [];
    rulings engine.ruling [];
    parts engine.part [];
    debits bigint;
    applied bigint;
BEGIN
    judgements := array(
        SELECT j FROM engine.judge(p_requests, p_decided_at, p_posting_date) AS j
    );
    claims := engine.claims(judgements, p_lines);
    SELECT a.o_taken, a.o_unmet, a.o_rulings INTO taken, unmet, rulings
    FROM engine.allot(claims) AS a;
    parts := array(SELECT p FROM engine.parts(claims, taken, unmet, rulings) AS p);

    WITH debit AS MATERIALIZED (
        SELECT r.bucket, p.allowance_id, p.period_start, sum(p.debited) AS used, p.granted
        FROM unnest(parts) AS p
        INNER JOIN unnest(p_requests) AS r ON p.ordinal = r.ordinal
        WHERE p.debited > 0
        GROUP BY r.bucket, p.allowance_id, p.period_start, p.granted
        ORDER BY r.bucket, p.allowance_id, p.period_start
    ), raised AS (
        INSERT INTO rights.counter AS c (bucket, allowance_id, period_start, used, granted)
        SELECT d.bucket, d.allowance_id, d.period_start, d.used, d.granted FROM debit AS d
        ON CONFLICT (bucket, allowance_id, period_start) DO UPDATE
        SET used = c.used + excluded.used, granted = excluded.granted
        WHERE c.used + excluded.used <= excluded.granted
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM debit), (SELECT count(*) FROM raised) INTO debits, applied;
    IF applied <> debits THEN
        RAISE EXCEPTION 'another worker debited the same allowance; decide the batch again'
        USING ERRCODE = 'serialization_failure';
    END IF;

    RETURN QUERY
    WITH total AS (
        SELECT t.ordinal, array_agg(t.covered ORDER BY t.line_no) AS covered,
            array_agg(t.gross - t.covered ORDER BY t.line_no) AS paid
        FROM (
            SELECT p.ordinal, p.line_no, sum(p.covered_kopecks)::bigint AS covered,
                sum(p.gross_kopecks)::bigint AS gross
            FROM unnest(parts) AS p GROUP BY p.ordinal, p.line_no
        ) AS t
        GROUP BY t.ordinal
    ), balance AS (
        -- of an allowance that several lines drew on, what the last of them left
        SELECT l.ordinal, array_agg(ROW(
            l.item_class, l.unit_okei, l.scale, l.granted, l.remaining, l.percent, l.period_end
        )::engine.balance ORDER BY l.line_no, l.part) AS balances
        FROM (
            SELECT DISTINCT ON (p.ordinal, p.allowance_id) p.*
            FROM unnest(parts) AS p WHERE p.debited > 0
            ORDER BY p.ordinal, p.allowance_id, p.line_no DESC, p.part DESC
        ) AS l
        GROUP BY l.ordinal
    ), placed AS (
        SELECT
            g.ordinal, g.outcome, g.claim_no, g AS ruling,
            p_place + row_number() OVER (ORDER BY g.ordinal) - 1 AS place
        FROM unnest(rulings) AS g
    ), written AS (
        INSERT INTO journal.event (
            bucket, business_date, terminal_id, stan, message_class, assigned, lane, block,
            ordinal, kind, advice, evidence, card_id, holder_id, service, service_version,
            signed_at, local_date, posting_date, decided_at, request_digest, request, signature,
            outcome, approval_code, covered_kopecks, paid_kopecks, facts
        )
        SELECT
            r.bucket, r.business_date, r.terminal_id, r.stan, r.message_class, r.assigned,
            p_lane, p_block, g.place, r.kind, r.advice,
            r.evidence, r.card_id, r.holder_id, r.service, r.service_version, r.signed_at,
            j.local_date, p_posting_date, p_decided_at, r.request_digest, r.request, r.signature,
            g.outcome,
            CASE WHEN g.outcome > 700
                THEN engine.approval_code(p_lane, p_block, g.place::integer) ELSE '' END,
            t.covered, t.paid,
            CASE WHEN g.outcome <> 703 THEN engine.facts(g.ruling, claims[g.claim_no], j) END
        FROM placed AS g
        INNER JOIN unnest(p_requests) AS r ON g.ordinal = r.ordinal
        INNER JOIN unnest(judgements) AS j ON g.ordinal = j.ordinal
        LEFT JOIN total AS t ON g.ordinal = t.ordinal
        ORDER BY r.business_date, r.terminal_id, r.stan, r.message_class, r.assigned
        RETURNING *
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
        FROM unnest(parts) AS p
        INNER JOIN unnest(p_requests) AS r ON p.ordinal = r.ordinal
    )
    SELECT
        r.ordinal, FALSE, w.outcome, w.approval_code, w.posting_date, w.decided_at, w.lane,
        w.block, w.ordinal, w.covered_kopecks, w.paid_kopecks, w.facts, b.balances
    FROM written AS w
    INNER JOIN unnest(p_requests) AS r
        ON w.business_date = r.business_date AND w.terminal_id = r.terminal_id
        AND w.stan = r.stan AND w.message_class = r.message_class
    LEFT JOIN balance AS b ON r.ordinal = b.ordinal;
END
$$;

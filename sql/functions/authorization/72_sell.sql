-- Decide the usual sales of a batch, and leave all others undecided: those whose every line is open
-- to exactly one allowance, which holds enough for all that the batch draws on it. Where several
-- draw on one, each must be a sale of a single line. Nothing depends on the order of such sales, so
-- they are decided and written by one statement, without a step between. Returns their answers.
-- Raises 40001 when another batch took what this one counted on, and 23505 when the same key is
-- being decided elsewhere at this moment: the caller then tries the batch again.
--
-- Counters are read without a lock; what raises them checks the limit on the rows as they then are.
-- Counters before keys, each in one order, so that two batches cannot block each other in a circle:
-- `balanced` is what keys and lines wait for.
CREATE OR REPLACE FUNCTION engine.sell(
    p_batch engine.batch, p_lane smallint, p_block bigint, p_decided_at timestamptz,
    p_posting_date date, p_known integer[]
) RETURNS SETOF engine.answer
LANGUAGE plpgsql ROWS 256 AS $$
DECLARE
    -- Texts and bytes have variables of their own: in a record, each is found by passing all before.
    terminal_ids text [] := p_batch.terminal_id;
    services text [] := p_batch.service;
    papers bytea [] := p_batch.paper;
BEGIN
    RETURN QUERY
    WITH sold AS MATERIALIZED (
        SELECT u.*, (dense_rank() OVER (ORDER BY u.n) - 1)::smallint AS place
        FROM (
            SELECT
                u.*,
                count(*) OVER request = p_batch.line_count[u.n]
                AND bool_and(u.clear) OVER request AS whole,
                u.line_no = min(u.line_no) OVER request AS leads,
                array_agg(u.covered_kopecks) OVER request AS covered,
                array_agg(u.gross_kopecks - u.covered_kopecks) OVER request AS paid,
                array_agg(ROW(
                    u.item_class, u.unit_okei, u.scale, u.granted,
                    u.granted - coalesce(u.used, 0) - u.drawn, u.percent, u.period_end
                )::engine.balance) OVER request AS balances
            FROM (
                SELECT
                    u.*,
                    -- all that the batch draws on the allowance, and what it draws up to this line
                    sum(u.need) OVER allowance AS draws,
                    sum(u.need) OVER (
                        PARTITION BY u.allowance_id, u.period_start ORDER BY u.n, u.line_no
                        ROWS UNBOUNDED PRECEDING
                    ) AS drawn,
                    u.usual AND u.choices = 1
                    AND coalesce(u.used, 0) + sum(u.need) OVER allowance <= u.granted
                    AND (
                        count(*) OVER allowance = 1
                        OR bool_and(
                            u.usual AND NOT u.paced AND u.choices = 1
                            AND p_batch.line_count[u.n] = 1
                        )
                            OVER allowance
                    ) AS clear
                FROM (
                    SELECT
                        u.*,
                        count(*) OVER (
                            PARTITION BY u.n ORDER BY u.line_no
                            RANGE BETWEEN CURRENT ROW AND CURRENT ROW
                        ) AS choices
                    FROM engine.asked(
                        p_batch, terminal_ids, services, p_decided_at, p_posting_date, p_known
                    ) AS u
                ) AS u
                WINDOW allowance AS (PARTITION BY u.allowance_id, u.period_start)
            ) AS u
            WINDOW request AS (
                PARTITION BY u.n ORDER BY u.line_no
                ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
            )
        ) AS u
        WHERE u.whole
    ), raised AS (
        UPDATE rights.counter AS k SET used = k.used + s.draws, granted = s.granted
        FROM (
            SELECT s.bucket, s.allowance_id, s.period_start, s.draws, s.granted FROM sold AS s
            WHERE s.used IS NOT NULL AND s.drawn = s.draws
            ORDER BY s.allowance_id, s.period_start
        ) AS s
        -- Not plain equality: statistics of a table with little in it would have the planner read
        -- all counters and look for each in the batch, out of order and in quadratic time.
        WHERE k.bucket = ANY (ARRAY[s.bucket]) AND k.allowance_id = ANY (ARRAY[s.allowance_id])
            AND k.period_start = ANY (ARRAY[s.period_start]) AND k.used + s.draws <= s.granted
        RETURNING 1
    ), begun AS (
        INSERT INTO rights.counter (bucket, allowance_id, period_start, used, granted)
        SELECT s.bucket, s.allowance_id, s.period_start, s.draws, s.granted FROM sold AS s
        WHERE s.used IS NULL AND s.drawn = s.draws
        ORDER BY s.allowance_id, s.period_start
        ON CONFLICT DO NOTHING
        RETURNING 1
    ), balanced AS MATERIALIZED (
        SELECT CASE
            WHEN (SELECT count(*) FROM sold AS s WHERE s.drawn = s.draws) = (
                SELECT count(*) FROM (SELECT FROM raised UNION ALL SELECT FROM begun) AS r
            ) THEN TRUE
            ELSE engine.collide()
        END AS holds
    ), written AS (
        INSERT INTO journal.event (
            bucket, business_date, terminal_id, stan, message_class, assigned, lane, block,
            ordinal, kind, advice, evidence, card_id, holder_id, service, service_version,
            signed_at, local_date, posting_date, decided_at, request_digest, request, signature,
            outcome, approval_code, covered_kopecks, paid_kopecks
        )
        SELECT
            s.bucket, p_batch.business_date[s.n], terminal_ids[s.n], p_batch.stan[s.n],
            p_batch.message_class[s.n], 0, p_lane, p_block, s.place, 3, p_batch.advice[s.n],
            p_batch.evidence[s.n], p_batch.card_id[s.n], p_batch.holder_id[s.n], services[s.n],
            p_batch.service_version[s.n], s.signed_at, s.local_date, p_posting_date, p_decided_at,
            substring(papers[s.n] FROM 1 FOR 32),
            substring(papers[s.n] FROM 33 + p_batch.signature_bytes[s.n]),
            substring(papers[s.n] FROM 33 FOR p_batch.signature_bytes[s.n]), 703,
            engine.approval_code(p_lane, p_block, s.place), s.covered, s.paid
        FROM sold AS s
        WHERE s.leads AND (SELECT b.holds FROM balanced AS b)
        ORDER BY 2, 3, 4, 5
    ), lined AS (
        INSERT INTO journal.line (
            bucket, business_date, terminal_id, stan, message_class, line_no, part, item,
            quantity, gross_kopecks, covered_kopecks, paid_kopecks, allowance_id, period_start,
            debited, entitlement_id, measure, category, funding, tariff
        )
        SELECT
            s.bucket, p_batch.business_date[s.n], terminal_ids[s.n], p_batch.stan[s.n],
            p_batch.message_class[s.n], s.line_no, 1, s.item, s.quantity, s.gross_kopecks,
            s.covered_kopecks, s.gross_kopecks - s.covered_kopecks, s.allowance_id,
            s.period_start, s.need, s.entitlement_id, s.measure, s.category, s.funding, s.tariff
        FROM sold AS s
        WHERE (SELECT b.holds FROM balanced AS b)
    )
    SELECT
        s.n, FALSE, 703::smallint, engine.approval_code(p_lane, p_block, s.place), NULL::date,
        NULL::timestamptz, NULL::smallint, NULL::bigint, s.place, s.covered, s.paid, NULL::jsonb,
        s.balances
    FROM sold AS s
    WHERE s.leads;
END
$$;

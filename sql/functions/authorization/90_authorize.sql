-- Decide a batch of requests: the one way in. A single call is a batch of one.
--
-- The batch behaves exactly as if its requests ran one by one in order: sales and inquiries that
-- follow each other are decided together, and a reversal stands between what is before and after.
-- Keys in one batch must differ (the worker settles repeats before). Everything is one database
-- transaction: when the caller has the answers, their events are committed, counters and all.
-- p_lane and p_block name the block that the new events form; nothing is written under them when
-- every request is a replay. p_decided_at is the worker's clock in whole milliseconds.
-- Raises 40001 or 23505 when the batch met another worker's; call again. Raises 22023 for a kind
-- that is not decided here.
CREATE OR REPLACE FUNCTION engine.authorize(
    p_lane smallint, p_block bigint, p_decided_at timestamptz, p_posting_date date,
    p_requests engine.request[], p_lines engine.line[]
) RETURNS SETOF engine.answer
LANGUAGE plpgsql
-- Index look-ups per row, hash joins among the arrays of the batch: the planner, who sees neither
-- the size of an array nor that of a fresh partition, is told so.
SET enable_seqscan = off
SET enable_nestloop = off
SET enable_mergejoin = off
SET jit = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    run record;
    recalled engine.recalled [];
    fresh engine.request [];
    reversal engine.request;
    outcome record;
    place smallint := 0;
BEGIN
    IF EXISTS (SELECT FROM unnest(p_requests) AS r WHERE (r.kind IN (1, 3, 6)) IS NOT TRUE) THEN
        RAISE EXCEPTION 'engine.authorize decides inquiries, sales and reversals only'
        USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOR run IN
        SELECT array_agg(i.request ORDER BY i.ordinal) AS requests, i.reverses
        FROM (
            SELECT
                r.ordinal, r AS request, r.kind = 6 AS reverses,
                r.ordinal - row_number() OVER (PARTITION BY r.kind = 6 ORDER BY r.ordinal) AS island
            FROM unnest(p_requests) AS r
        ) AS i
        GROUP BY i.reverses, i.island
        ORDER BY min(i.ordinal)
    LOOP
        recalled := array(SELECT k FROM engine.recall(run.requests) AS k);
        RETURN QUERY SELECT (k.answer).* FROM unnest(recalled) AS k
        WHERE (k.answer).outcome IS NOT NULL;
        SELECT array_agg(k.request ORDER BY (k.request).ordinal) INTO fresh
        FROM unnest(recalled) AS k WHERE (k.answer).outcome IS NULL;
        CONTINUE WHEN fresh IS NULL;

        IF run.reverses THEN
            FOREACH reversal IN ARRAY fresh LOOP
                SELECT r.* INTO outcome FROM engine.reverse(
                    reversal, p_lane, p_block, place, p_decided_at, p_posting_date
                ) AS r;
                place := place + outcome.written;
                RETURN NEXT outcome.answer;
            END LOOP;
        ELSE
            RETURN QUERY SELECT * FROM engine.decide(
                fresh, p_lines, p_lane, p_block, place, p_decided_at, p_posting_date
            );
            place := place + cardinality(fresh);
        END IF;
    END LOOP;
    IF place > 0 THEN
        INSERT INTO journal.block (lane, block, leaf_count, decided_at)
        VALUES (p_lane, p_block, place, p_decided_at);
    END IF;
END
$$;

-- Decide a batch of requests: the one way in. A single call is a batch of one.
--
-- The batch behaves as if its sales and inquiries ran one by one in order, and then its reversals.
-- Keys in one batch must differ (the worker settles repeats before). Everything is one database
-- transaction: when the caller has the answers, their events are committed, counters and all.
-- p_lane and p_block name the block that the new events form; nothing is written under them when
-- every request is a replay. p_decided_at is the worker's clock in whole milliseconds.
-- Raises 40001 or 23505 when the batch met another worker's; call again.
CREATE OR REPLACE FUNCTION engine.authorize(
    p_lane smallint, p_block bigint, p_decided_at timestamptz, p_posting_date date,
    p_requests engine.request [], p_lines engine.line []
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
    recalled engine.recalled [];
    fresh engine.request [];
    reversals engine.request [];
    reversal engine.request;
    outcome record;
    place smallint := 0;
BEGIN
    recalled := array(SELECT k FROM engine.recall(p_requests) AS k);
    RETURN QUERY SELECT (k.answer).* FROM unnest(recalled) AS k
    WHERE (k.answer).outcome IS NOT NULL;

    SELECT
        array_agg(k.request) FILTER (WHERE (k.request).kind <> 6),
        array_agg(k.request) FILTER (WHERE (k.request).kind = 6)
    INTO fresh, reversals
    FROM unnest(recalled) AS k WHERE (k.answer).outcome IS NULL;

    IF fresh IS NOT NULL THEN
        RETURN QUERY SELECT * FROM engine.decide(
            fresh, p_lines, p_lane, p_block, p_decided_at, p_posting_date
        );
        place := cardinality(fresh);
    END IF;
    IF reversals IS NOT NULL THEN
        FOREACH reversal IN ARRAY reversals LOOP
            SELECT r.* INTO outcome FROM engine.reverse(
                reversal, p_lane, p_block, place, p_decided_at, p_posting_date
            ) AS r;
            place := place + outcome.written;
            RETURN NEXT outcome.answer;
        END LOOP;
    END IF;
    IF place > 0 THEN
        INSERT INTO journal.block (lane, block, leaf_count, decided_at)
        VALUES (p_lane, p_block, place, p_decided_at);
    END IF;
END
$$;

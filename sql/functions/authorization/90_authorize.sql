-- Decide a batch of requests: the one way in. A single call is a batch of one.
--
-- The batch behaves exactly as if its requests ran one by one in order: sales, reserves and
-- inquiries that follow each other are decided together; a completion, finish, return or reversal,
-- which changes what another left, stands between what is before and after.
-- Keys in one batch must differ (the worker settles repeats before). Everything is one database
-- transaction: when the caller has the answers, their events are committed, counters and all.
-- p_lane and p_block name the block that the new events form; nothing is written under them when
-- every request is a replay. p_decided_at is the worker's clock in whole milliseconds.
-- Raises 40001 or 23505 when the batch met another worker's; call again. Raises 22023 for a kind
-- that is not decided here.
CREATE OR REPLACE FUNCTION engine.authorize(
    p_lane smallint, p_block bigint, p_decided_at timestamptz, p_posting_date date,
    p_batch engine.batch
) RETURNS SETOF engine.answer
LANGUAGE plpgsql AS $$
DECLARE
    terminal_ids text [] := p_batch.terminal_id;
    requests integer := cardinality(p_batch.stan);
    known integer [];
    sold integer := 0;
    -- and after the usual sales were written
    known_now integer [] := '{}';
BEGIN
    IF current_setting('plan_cache_mode') <> 'force_generic_plan' THEN
        PERFORM engine.plan_by_index();
    END IF;
    IF requests = 0 THEN
        RETURN;
    END IF;
    IF 3 = ANY (p_batch.kind) AND NOT p_batch.kind && '{4,5,6,8}'::smallint [] THEN
        SELECT k.ordinals INTO known
        FROM engine.known(p_batch, terminal_ids, p_posting_date) AS k;
        RETURN QUERY SELECT s.* FROM engine.sell(
            p_batch, p_lane, p_block, p_decided_at, p_posting_date, known
        ) AS s;
        GET DIAGNOSTICS sold = ROW_COUNT;
        IF sold = requests THEN
            INSERT INTO journal.block (lane, block, leaf_count, decided_at)
            VALUES (p_lane, p_block, sold, p_decided_at);
            RETURN;
        ELSIF sold > 0 THEN
            SELECT k.ordinals INTO known_now
            FROM engine.known(p_batch, terminal_ids, p_posting_date) AS k;
        END IF;
    END IF;
    RETURN QUERY SELECT d.* FROM engine.decide_in_order(
        p_lane, p_block, sold::smallint, p_decided_at, p_posting_date,
        engine.requests_of(p_batch, array(
            SELECT n FROM generate_series(1, requests) AS n
            WHERE n <> ALL (known_now) OR n = ANY (known)
        )),
        engine.batch_lines(p_batch)
    ) AS d;
END
$$;

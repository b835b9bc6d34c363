-- Decide requests as far as one depends on another: sales, reserves, starts and inquiries that
-- follow each other are decided together; a completion, finish, return or reversal, which changes
-- what another left, stands between what is before and after. Their events stand at p_place of the
-- block and after, and the block is closed. Raises as engine.authorize does.
CREATE OR REPLACE FUNCTION engine.decide_in_order(
    p_lane smallint, p_block bigint, p_place smallint, p_decided_at timestamptz,
    p_posting_date date, p_requests engine.request[], p_lines engine.line[]
) RETURNS SETOF engine.answer
LANGUAGE plpgsql
-- Index look-ups per row, hash joins among the arrays of the batch: the planner, who sees neither
-- the size of an array nor that of a fresh partition, is told so.
SET enable_seqscan = off
SET enable_nestloop = off
SET enable_hashjoin = on
SET enable_mergejoin = off
SET jit = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    -- what the batch shares, to be read once
    terminal_ids text [];
    services text [];
    decided boolean;
    -- whether it has completions, finishes, returns or reversals
    changes boolean;
    reserves boolean;
    -- requests whose keys may be in the journal
    known smallint [];
    run engine.request [];
    first integer := 1;
    recalled engine.recalled [];
    request engine.request;
    outcome record;
    place smallint := p_place;
BEGIN
    SELECT
        bool_and((r.kind BETWEEN 1 AND 8) IS TRUE), bool_or(r.kind IN (4, 5, 6, 8)),
        bool_or(r.kind IN (2, 7)),
        array_agg(r.terminal_id), array_agg(r.service),
        array_agg(r.ordinal) FILTER (WHERE
            -- a date outside of the window may lie in any partition; inside, two are opened
            r.business_date NOT BETWEEN p_posting_date - 3 AND p_posting_date + 1
            -- a closed month reaches into the window: engine.recall knows how far
            OR EXISTS (
                SELECT FROM journal.archive_step AS c
                WHERE c.month >= date_trunc('month', (p_posting_date - 3)::timestamp)::date
            )
            OR (
                -- no EXISTS, which the planner might answer by reading all events once
                SELECT e.assigned FROM journal.event AS e
                WHERE e.business_date BETWEEN p_posting_date - 3 AND p_posting_date + 1
                    AND e.business_date = r.business_date AND e.terminal_id = r.terminal_id
                    AND e.stan = r.stan AND e.message_class = r.message_class
                LIMIT 1
            ) IS NOT NULL
        )
    INTO decided, changes, reserves, terminal_ids, services, known
    FROM unnest(p_requests) AS r;
    IF NOT decided THEN
        RAISE EXCEPTION 'engine.authorize decides nothing of the centre''s own'
        USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOR final IN 1..cardinality(p_requests) LOOP
        -- a run ends where one that changes another follows, or is followed; reversals stand
        -- alone, since they may close the key of what comes next
        CONTINUE WHEN final < cardinality(p_requests) AND (
            NOT changes
            OR ((p_requests[final]).kind IN (4, 5, 6, 8), (p_requests[final]).kind = 6)
            = ((p_requests[final + 1]).kind IN (4, 5, 6, 8), (p_requests[final + 1]).kind = 6)
        );
        run := p_requests[first:final];
        first := final + 1;
        IF changes OR known IS NOT NULL THEN
            -- what an earlier run wrote is in the journal now
            recalled := array(
                SELECT k FROM engine.recall(array(
                    SELECT r FROM unnest(run) AS r WHERE changes OR r.ordinal = ANY (known)
                )) AS k
            );
            RETURN QUERY SELECT (k.answer).* FROM unnest(recalled) AS k
            WHERE (k.answer).outcome IS NOT NULL;
            SELECT array_agg(f.request ORDER BY (f.request).ordinal) INTO run
            FROM (
                SELECT k.request FROM unnest(recalled) AS k WHERE (k.answer).outcome IS NULL
                UNION ALL
                SELECT r FROM unnest(run) AS r WHERE NOT (changes OR r.ordinal = ANY (known))
            ) AS f;
            CONTINUE WHEN run IS NULL;
        END IF;

        IF (run[1]).kind IN (4, 5, 6, 8) THEN
            FOREACH request IN ARRAY run LOOP
                CASE request.kind
                    WHEN 4 THEN
                        SELECT c AS answer, 1::smallint AS written INTO outcome
                        FROM engine.complete(
                            request, p_lines, p_lane, p_block, place, p_decided_at, p_posting_date
                        ) AS c;
                    WHEN 5 THEN
                        SELECT b AS answer, 1::smallint AS written INTO outcome
                        FROM engine.give_back(
                            request, p_lines, p_lane, p_block, place, p_decided_at, p_posting_date
                        ) AS b;
                    WHEN 8 THEN
                        SELECT f AS answer, 1::smallint AS written INTO outcome
                        FROM engine.finish(
                            request, p_lines, p_lane, p_block, place, p_decided_at, p_posting_date
                        ) AS f;
                    WHEN 6 THEN
                        SELECT r.* INTO outcome FROM engine.reverse(
                            request, p_lane, p_block, place, p_decided_at, p_posting_date
                        ) AS r;
                END CASE;
                place := place + outcome.written;
                RETURN NEXT outcome.answer;
            END LOOP;
        ELSE
            RETURN QUERY SELECT d.* FROM engine.decide(
                run, p_lines, terminal_ids, services, p_lane, p_block, place, p_decided_at,
                p_posting_date
            ) AS d;
            place := place + cardinality(run);
            IF reserves THEN
                PERFORM engine.open_reservations(run);
            END IF;
        END IF;
    END LOOP;
    IF place > 0 THEN
        INSERT INTO journal.block (lane, block, leaf_count, decided_at)
        VALUES (p_lane, p_block, place, p_decided_at);
    END IF;
END
$$;

-- Why a decision was as it was: of a conflict its reason, else the outcome.
CREATE FUNCTION replay.reason(p_outcome smallint, p_facts jsonb) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN p_outcome = 701 THEN (p_facts ->> 'reason')::smallint ELSE p_outcome END;

-- Whether something else than the service's regulation decided: terminal, clock, card, authority
-- (2xx, 3xx), the list of services at the terminal (401, 402), a version that was not in force
-- (403), an original that is unknown or of somebody else. Such a decision is the same under any
-- draft.
CREATE FUNCTION replay.untouched(
    p_kind smallint, p_outcome smallint, p_facts jsonb
) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(
    p_outcome = 204
    OR replay.reason(p_outcome, p_facts) IN (202, 203, 401, 402)
    OR replay.reason(p_outcome, p_facts) BETWEEN 301 AND 399
    OR replay.reason(p_outcome, p_facts) = 403 AND NOT p_facts ? 'reserve'
    OR (replay.reason(p_outcome, p_facts), p_facts ->> 'original')
    IN ((501, 'unknown'), (501, 'archived'))
    OR (replay.reason(p_outcome, p_facts), p_facts ->> 'field') IN (
        (502, 'parent'), (502, 'card or holder'), (502, 'holder'), (502, 'kind'),
        (502, 'service'), (502, 'challenge')
    )
    OR (p_kind = 6 AND p_facts ->> 'original' = 'unknown'),
    FALSE
);

-- A big-endian unsigned integer of p_bytes bytes (at most 8) at a place of a request, from 1.
CREATE FUNCTION replay.number_at(p_bytes bytea, p_at integer, p_length integer) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ('x' || lpad(encode(substring(p_bytes FROM p_at FOR p_length), 'hex'), 16, '0'))
    ::bit(64)::bigint
$$;

-- The lines of a request as the card signed them (digest v1, processing/wire/digest.py).
CREATE FUNCTION replay.lines_in(p_request bytea) RETURNS SETOF engine.line
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    place integer := 91;
    lines integer;
    size integer;
    line engine.line;
BEGIN
    -- the challenge, whether there is a parent, the service; then what has a fixed length
    place := place + 1 + get_byte(p_request, place);
    place := place + 1 + 18 * get_byte(p_request, place);
    place := place + 1 + get_byte(p_request, place);
    place := place + 36;
    lines := get_byte(p_request, place);
    place := place + 1;
    FOR number IN 1..lines LOOP
        size := get_byte(p_request, place);
        line.line_no := number;
        line.item := convert_from(substring(p_request FROM place + 2 FOR size), 'SQL_ASCII');
        place := place + 1 + size;
        line.quantity := replay.number_at(p_request, place + 1, 8);
        line.unit_okei := replay.number_at(p_request, place + 9, 2);
        line.scale := get_byte(p_request, place + 10);
        line.gross_kopecks := replay.number_at(p_request, place + 12, 8);
        place := place + 19;
        RETURN NEXT line;
    END LOOP;
END
$$;

-- Put everything taken over in order, and lay out the batches. A batch is of one posting date and
-- one hour, so that midnight of no region lies within; p_minutes cuts it finer where the ends of
-- reservations have to be found anew.
CREATE FUNCTION replay.lay_out(p_minutes integer, p_batch_max integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    step record;
    first integer := 1;
    last integer;
    batches integer := 0;
BEGIN
    INSERT INTO replay.step
    SELECT
        o.n, o.task,
        -- of one block of expiries the first
        CASE o.task
            WHEN 3 THEN (o.task, o.lane, o.block) IS DISTINCT FROM (
                lag(o.task) OVER in_order, lag(o.lane) OVER in_order, lag(o.block) OVER in_order
            )
            ELSE coalesce(lag(o.task) OVER in_order = 3, FALSE) OR coalesce(o.assigned > 0, FALSE)
                OR (o.posting_date, o.slice) IS DISTINCT FROM (
                    lag(o.posting_date) OVER in_order, lag(o.slice) OVER in_order
                )
        END,
        NULL::integer,
        o.bucket, o.business_date, o.terminal_id, o.stan, o.message_class, o.assigned, o.kind,
        o.advice, o.evidence, o.card_id, o.holder_id, o.parent_business_date,
        o.parent_terminal_id, o.parent_stan, o.parent_message_class, o.signed_at, o.local_date,
        o.posting_date, o.decided_at, o.request_digest, o.request, o.outcome, o.covered_kopecks,
        o.paid_kopecks, o.facts, o.allowance_id, o.period_start, o.debited
    FROM (
        SELECT
            u.*, date_bin(make_interval(mins => p_minutes), u.decided_at, 'epoch') AS slice,
            (row_number() OVER (ORDER BY u.decided_at, u.lane, u.block, u.ordinal, u.task))
                ::integer AS n
        FROM (
            SELECT
                t.*, NULL::uuid AS allowance_id, NULL::date AS period_start,
                NULL::bigint AS debited,
                CASE
                    WHEN t.kind = 9 THEN 3
                    WHEN replay.untouched(t.kind, t.outcome, t.facts) THEN 2
                    ELSE 1
                END::smallint AS task
            FROM replay.taken AS t
            UNION ALL
            SELECT
                (jsonb_populate_record(NULL::replay.taken, jsonb_build_object(
                    'decided_at', e.decided_at, 'lane', e.lane, 'block', e.block,
                    'ordinal', e.ordinal, 'posting_date', e.posting_date, 'bucket', e.bucket,
                    'holder_id', e.holder_id
                ))).*,
                e.allowance_id, e.period_start, e.debited, 4::smallint
            FROM replay.elsewhere AS e
        ) AS u
    ) AS o
    WINDOW in_order AS (ORDER BY o.n);
    CREATE UNIQUE INDEX step_n ON replay.step (n);
    IF EXISTS (SELECT FROM replay.elsewhere) THEN
        CREATE INDEX step_holder ON replay.step (holder_id, n);
        UPDATE replay.step AS f SET after_n = (
            SELECT s.n FROM replay.step AS s
            WHERE s.holder_id = f.holder_id AND s.n < f.n AND s.task < 4
            ORDER BY s.n DESC LIMIT 1
        )
        WHERE f.task = 4;
    END IF;
    -- An approved line had its item's unit, and its parts add up to what was asked.
    INSERT INTO replay.asked
    SELECT
        s.n, l.line_no, min(l.item), sum(l.quantity)::bigint, min(i.unit_okei), min(i.scale),
        sum(l.gross_kopecks)::bigint
    FROM replay.step AS s
    INNER JOIN replay.taken_line AS l
        USING (business_date, terminal_id, stan, message_class, assigned)
    INNER JOIN regulations.item AS i ON l.item = i.item
    WHERE s.task = 1 AND s.kind IN (2, 3, 7) AND s.outcome > 701
    GROUP BY s.n, l.line_no;
    INSERT INTO replay.asked
    SELECT s.n, l.line_no, l.item, l.quantity, l.unit_okei, l.scale, l.gross_kopecks
    FROM replay.step AS s
    CROSS JOIN LATERAL replay.lines_in(s.request) AS l
    WHERE s.task = 1 AND NOT (s.kind IN (2, 3, 7) AND s.outcome > 701);
    CREATE INDEX asked_n ON replay.asked (n);
    SELECT coalesce(max(s.n), 0) INTO last FROM replay.step AS s;
    FOR step IN
        SELECT s.n, s.cuts, s.after_n FROM replay.step AS s
        WHERE s.cuts OR s.after_n IS NOT NULL
        UNION ALL SELECT last + 1, TRUE, NULL
        ORDER BY n
    LOOP
        CONTINUE WHEN step.n = first;
        CONTINUE WHEN NOT step.cuts
            AND step.after_n < first + (step.n - first) / p_batch_max * p_batch_max;
        INSERT INTO replay.batch
        SELECT batches + row_number() OVER (), b, least(b + p_batch_max, step.n) - 1
        FROM generate_series(first, step.n - 1, p_batch_max) AS b;
        batches := batches + (step.n - 1 - first) / p_batch_max + 1;
        first := step.n;
    END LOOP;
    CREATE UNIQUE INDEX batch_no ON replay.batch (batch_no);
    RETURN batches;
END
$$;

-- Take what other services took. They were decided already and stay as they were; where the draft
-- left them too little, they take what is left.
CREATE FUNCTION replay.take_elsewhere(p_first integer, p_last integer) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO rights.counter AS c (bucket, allowance_id, period_start, used, granted)
    SELECT
        s.bucket, s.allowance_id, s.period_start, greatest(0, least(sum(s.debited), w.granted)),
        w.granted
    FROM replay.step AS s
    INNER JOIN rights.allowance AS w
        ON s.bucket = w.bucket AND s.holder_id = w.holder_id AND s.allowance_id = w.allowance_id
    WHERE s.n BETWEEN p_first AND p_last AND s.task = 4
    GROUP BY s.bucket, s.allowance_id, s.period_start, w.granted
    ON CONFLICT (bucket, allowance_id, period_start) DO UPDATE
    SET used = greatest(0, least(c.granted, c.used + (
        SELECT sum(s.debited) FROM replay.step AS s
        WHERE s.n BETWEEN p_first AND p_last AND s.task = 4 AND s.bucket = c.bucket
            AND s.allowance_id = c.allowance_id AND s.period_start = c.period_start
    )));
$$;

-- Put what is carried over into the journal, as it was.
CREATE FUNCTION replay.carry_over(p_first integer, p_last integer) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO journal.event
    SELECT t.* FROM replay.step AS s
    INNER JOIN replay.taken AS t
        USING (business_date, terminal_id, stan, message_class, assigned)
    WHERE s.n BETWEEN p_first AND p_last AND s.task = 2;
    INSERT INTO journal.line
    SELECT t.* FROM replay.step AS s
    INNER JOIN replay.taken_line AS t
        USING (business_date, terminal_id, stan, message_class, assigned)
    WHERE s.n BETWEEN p_first AND p_last AND s.task = 2;
    INSERT INTO journal.child
    SELECT t.* FROM replay.step AS s
    INNER JOIN replay.taken_child AS t
        ON s.business_date = t.child_business_date AND s.terminal_id = t.child_terminal_id
            AND s.stan = t.child_stan AND s.message_class = t.child_message_class
            AND s.assigned = t.child_assigned
    WHERE s.n BETWEEN p_first AND p_last AND s.task = 2;
$$;

-- Decide one batch by the engine itself, at the moment of its last step. What was asked within the
-- minutes that a clock may differ was so then: an online request is taken as signed at that moment.
-- A reservation ends as long after its own decision as the regulation says: when it ended in fact
-- or, with p_ends_anew (the draft gives another time), before the first batch that begins later.
CREATE FUNCTION replay.decide(
    p_batch_no integer, p_service text, p_version integer, p_ends_anew boolean
) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    batch replay.batch;
    tasks smallint [];
    first replay.step;
    final replay.step;
    asked engine.batch;
    steps integer [];
    lane CONSTANT smallint := 32000;
    minutes integer;
BEGIN
    SELECT b.* INTO batch FROM replay.batch AS b WHERE b.batch_no = p_batch_no;
    SELECT s.* INTO final FROM replay.step AS s WHERE s.n = batch.last_n;
    SELECT array_agg(DISTINCT s.task) INTO tasks FROM replay.step AS s
    WHERE s.n BETWEEN batch.first_n AND batch.last_n;
    IF p_ends_anew THEN
        SELECT s.* INTO first FROM replay.step AS s WHERE s.n = batch.first_n;
        PERFORM engine.expire(
            (lane + 1)::smallint, p_batch_no, first.decided_at, first.posting_date, 1000000
        );
    ELSIF 3 = ANY (tasks) THEN
        PERFORM engine.expire(
            (lane + 1)::smallint, p_batch_no, final.decided_at, final.posting_date, 1000000
        );
    END IF;
    IF 4 = ANY (tasks) THEN
        PERFORM replay.take_elsewhere(batch.first_n, batch.last_n);
    END IF;
    IF 2 = ANY (tasks) THEN
        PERFORM replay.carry_over(batch.first_n, batch.last_n);
    END IF;
    IF NOT 1 = ANY (tasks) THEN
        RETURN 0;
    END IF;
    -- of a batch that ends with another service's debit, too
    SELECT s.* INTO final FROM replay.step AS s
    WHERE s.n BETWEEN batch.first_n AND batch.last_n AND s.task = 1 ORDER BY s.n DESC LIMIT 1;
    asked := replay.batch_of(batch.first_n, batch.last_n, p_service, p_version, final.decided_at);
    steps := array(
        SELECT s.n FROM replay.step AS s
        WHERE s.n BETWEEN batch.first_n AND batch.last_n AND s.task = 1 ORDER BY s.n
    );
    INSERT INTO replay.result
    SELECT steps[a.ordinal], p_batch_no, a.place, a.outcome, a.covered_kopecks, a.facts
    FROM engine.authorize(
        lane, p_batch_no, final.decided_at, final.posting_date, asked
    ) AS a;
    IF asked.kind && '{2,7}'::smallint [] THEN
        SELECT v.reserve_minutes INTO minutes FROM regulations.service AS v
        WHERE v.service = p_service AND v.version = p_version;
        UPDATE rights.reservation AS r
        SET expires_at = s.decided_at + make_interval(mins => minutes)
        FROM replay.step AS s
        WHERE s.n = ANY (steps) AND s.kind IN (2, 7) AND r.bucket = s.bucket
            AND r.business_date = s.business_date AND r.terminal_id = s.terminal_id
            AND r.stan = s.stan;
    END IF;
    RETURN cardinality(steps);
END
$$;

-- The steps of a batch that are decided anew, as the engine takes them.
CREATE FUNCTION replay.batch_of(
    p_first integer, p_last integer, p_service text, p_version integer, p_decided_at timestamptz
) RETURNS engine.batch
LANGUAGE sql STABLE AS $$
    WITH step AS MATERIALIZED (
        SELECT
            s.*, row_number() OVER (ORDER BY s.n)::smallint AS place,
            (SELECT count(*) FROM replay.asked AS l WHERE l.n = s.n)::smallint AS lines
        FROM replay.step AS s
        WHERE s.n BETWEEN p_first AND p_last AND s.task = 1
    ), line AS MATERIALIZED (
        SELECT s.place, l.*
        FROM step AS s INNER JOIN replay.asked AS l ON s.n = l.n
        ORDER BY s.n, l.line_no
    )
    SELECT ROW(
        h.bucket, h.business_date, h.terminal_id, h.stan, h.message_class, h.kind, h.advice,
        h.evidence, h.proof, h.card_id, h.holder_id, h.service, h.service_version,
        h.parent_business_date, h.parent_terminal_id, h.parent_stan, h.parent_message_class,
        h.signed_at_ms, h.paper, h.signature_bytes, h.line_count, l.line_ordinal, l.line_no, l.item,
        l.quantity, l.unit_okei, l.scale, l.gross_kopecks
    )::engine.batch
    FROM (
        SELECT
            array_agg(s.bucket) AS bucket, array_agg(s.business_date) AS business_date,
            array_agg(s.terminal_id) AS terminal_id, array_agg(s.stan) AS stan,
            array_agg(s.message_class) AS message_class, array_agg(s.kind) AS kind,
            array_agg(s.advice) AS advice, array_agg(s.evidence) AS evidence,
            -- it was right, or the transaction would be carried over
            array_agg(CASE WHEN s.kind IN (4, 6) THEN 0 ELSE 1 END::smallint) AS proof,
            array_agg(s.card_id) AS card_id, array_agg(s.holder_id) AS holder_id,
            array_agg(p_service) AS service, array_agg(p_version) AS service_version,
            array_agg(s.parent_business_date) AS parent_business_date,
            array_agg(s.parent_terminal_id) AS parent_terminal_id,
            array_agg(s.parent_stan) AS parent_stan,
            array_agg(s.parent_message_class) AS parent_message_class,
            array_agg((1000 * extract(
                EPOCH FROM CASE WHEN s.advice THEN s.signed_at ELSE p_decided_at END
            ))::bigint) AS signed_at_ms,
            array_agg(s.request_digest) AS paper, array_agg(0::smallint) AS signature_bytes,
            array_agg(s.lines) AS line_count
        FROM (SELECT * FROM step ORDER BY place) AS s
    ) AS h
    CROSS JOIN (
        SELECT
            coalesce(array_agg(l.place), '{}') AS line_ordinal,
            coalesce(array_agg(l.line_no), '{}') AS line_no, coalesce(array_agg(l.item), '{}') AS item,
            coalesce(array_agg(l.quantity), '{}') AS quantity,
            coalesce(array_agg(l.unit_okei), '{}') AS unit_okei,
            coalesce(array_agg(l.scale), '{}') AS scale,
            coalesce(array_agg(l.gross_kopecks), '{}') AS gross_kopecks
        FROM line AS l
    ) AS l
$$;

-- A visit begins with the number it was given then, or what its finish signed would fit no more.
CREATE OR REPLACE FUNCTION engine.challenge_for(p_request engine.request) RETURNS text
LANGUAGE sql AS $$
    SELECT coalesce(
        (
            SELECT t.facts ->> 'challenge' FROM replay.taken AS t
            WHERE t.business_date = p_request.business_date
                AND t.terminal_id = p_request.terminal_id AND t.stan = p_request.stan
                AND t.message_class = p_request.message_class
                AND t.assigned = p_request.assigned
        ),
        replace(gen_random_uuid()::text, '-', '')
    )
$$;

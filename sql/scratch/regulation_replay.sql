-- The workshop of a replay (processing/regulations/replay.py). It is run in a scratch database, never
-- in the centre's own: a migrated, empty one, into which the centre's regulations, rights and past
-- transactions are copied and which is dropped afterwards.
CREATE SCHEMA replay;

-- What a crash loses here is lost anyway.
ALTER TABLE rights.allowance SET UNLOGGED;
ALTER TABLE rights.card_authority SET UNLOGGED;
ALTER TABLE rights.counter SET UNLOGGED;
ALTER TABLE rights.reservation SET UNLOGGED;
ALTER TABLE journal.block SET UNLOGGED;
ALTER TABLE journal.child SET UNLOGGED;
-- Indexes that no decision needs.
DROP INDEX journal.event_place;
DROP INDEX journal.event_posting;

-- Of the period: the service's transactions as they were decided; nothing of it is changed.
CREATE UNLOGGED TABLE replay.taken (LIKE journal.event);
CREATE UNLOGGED TABLE replay.taken_line (LIKE journal.line);
CREATE UNLOGGED TABLE replay.taken_child (LIKE journal.child);

-- What other services took in the period from allowances that this one draws on, in the order of
-- decision; negative: gave back.
CREATE UNLOGGED TABLE replay.elsewhere (
    decided_at timestamptz NOT NULL,
    lane smallint NOT NULL,
    block bigint NOT NULL,
    ordinal smallint NOT NULL,
    posting_date date NOT NULL,
    bucket smallint NOT NULL,
    holder_id uuid NOT NULL,
    allowance_id uuid NOT NULL,
    period_start date NOT NULL,
    debited bigint NOT NULL
);

-- What the replay goes through, in order: transactions to be decided anew; those carried over as
-- they were, since no regulation decided them; ends of reservations; what other services took.
CREATE UNLOGGED TABLE replay.step (
    n integer NOT NULL,
    -- 1 decide anew, 2 carry over, 3 an expiry, 4 another service's debit
    task smallint NOT NULL,
    -- whether a batch has to begin here
    cuts boolean NOT NULL,
    -- this step is not to be in one batch with that one
    after_n integer,
    bucket smallint NOT NULL,
    business_date date,
    terminal_id text,
    stan integer,
    message_class smallint,
    assigned smallint,
    kind smallint,
    advice boolean,
    evidence smallint,
    card_id uuid,
    holder_id uuid NOT NULL,
    parent_business_date date,
    parent_terminal_id text,
    parent_stan integer,
    parent_message_class smallint,
    signed_at timestamptz,
    local_date date,
    posting_date date,
    decided_at timestamptz NOT NULL,
    request_digest bytea,
    request bytea,
    outcome smallint,
    covered_kopecks bigint[],
    paid_kopecks bigint[],
    facts jsonb,
    allowance_id uuid,
    period_start date,
    debited bigint
);

-- The lines of what is decided anew, as they were asked for.
CREATE UNLOGGED TABLE replay.asked (
    n integer NOT NULL,
    line_no smallint NOT NULL,
    item text NOT NULL,
    quantity bigint NOT NULL,
    unit_okei smallint NOT NULL,
    scale smallint NOT NULL,
    gross_kopecks bigint NOT NULL
);

CREATE UNLOGGED TABLE replay.batch (
    batch_no integer NOT NULL,
    first_n integer NOT NULL,
    last_n integer NOT NULL
);

-- What the engine decided under the draft; a step that was carried over has no row.
CREATE UNLOGGED TABLE replay.result (
    n integer NOT NULL,
    batch_no integer NOT NULL,
    place smallint,
    outcome smallint NOT NULL,
    covered_kopecks bigint[],
    facts jsonb
);

-- Why a decision was as it was: of a conflict its reason, else the outcome.
CREATE FUNCTION replay.reason(p_outcome smallint, p_facts jsonb) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN p_outcome = 701 THEN (p_facts ->> 'reason')::smallint ELSE p_outcome END;

-- Whether something else than the service's regulation decided: terminal, clock, card, authority
-- (2xx, 3xx), the list of services at the terminal (401, 402), a version that was not in force (403),
-- an original that is unknown or of somebody else. Such a decision is the same under any draft.
CREATE FUNCTION replay.untouched(
    p_kind smallint, p_outcome smallint, p_facts jsonb
) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(
    p_outcome = 204
    OR (replay.reason(p_outcome, p_facts) BETWEEN 202 AND 402
        AND replay.reason(p_outcome, p_facts) <> 204)
    OR (replay.reason(p_outcome, p_facts) = 403 AND NOT p_facts ? 'reserve')
    OR (replay.reason(p_outcome, p_facts) = 501
        AND p_facts ->> 'original' IN ('unknown', 'archived'))
    OR (replay.reason(p_outcome, p_facts) = 502
        AND p_facts ->> 'field' IN ('parent', 'card or holder', 'holder', 'kind', 'service'))
    OR (p_kind = 6 AND p_facts ->> 'original' = 'unknown'),
    FALSE
);

-- A big-endian unsigned integer of p_bytes bytes (at most 8) at a place of a request, from 1.
CREATE FUNCTION replay.number_at(p_bytes bytea, p_at integer, p_length integer) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ('x' || lpad(encode(substring(p_bytes FROM p_at FOR p_length), 'hex'), 16, '0'))
    ::bit(64)::bigint;

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

-- Put everything taken over in order, and lay out the batches. A batch is of one posting date and one
-- hour, so that midnight of no region lies within; p_minutes cuts it finer where the ends of
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
    WHERE s.task = 1 AND s.kind IN (2, 3) AND s.outcome > 701
    GROUP BY s.n, l.line_no;
    INSERT INTO replay.asked
    SELECT s.n, l.line_no, l.item, l.quantity, l.unit_okei, l.scale, l.gross_kopecks
    FROM replay.step AS s
    CROSS JOIN LATERAL replay.lines_in(s.request) AS l
    WHERE s.task = 1 AND NOT (s.kind IN (2, 3) AND s.outcome > 701);
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
-- A reservation ends as long after its own decision as the regulation says: when it ended in fact or,
-- with p_ends_anew (the draft gives another time), before the first batch that begins later.
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
    IF 2 = ANY (asked.kind) THEN
        SELECT v.reserve_minutes INTO minutes FROM regulations.service AS v
        WHERE v.service = p_service AND v.version = p_version;
        UPDATE rights.reservation AS r
        SET expires_at = s.decided_at + make_interval(mins => minutes)
        FROM replay.step AS s
        WHERE s.n = ANY (steps) AND s.kind = 2 AND r.bucket = s.bucket
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

-- What came of it, step by step: the amounts by category (net: what returns and reversals took back is
-- negative; a reservation is no money), and each decision before and after.
CREATE UNLOGGED TABLE replay.money (
    n integer NOT NULL,
    category text NOT NULL,
    before_kopecks bigint NOT NULL,
    after_kopecks bigint NOT NULL
);

CREATE UNLOGGED TABLE replay.told (
    n integer NOT NULL,
    bucket smallint NOT NULL,
    holder_id uuid NOT NULL,
    provider text NOT NULL,
    -- the first category of what is covered, after or before; empty when nothing ever was
    category text NOT NULL,
    kind smallint NOT NULL,
    before_outcome smallint NOT NULL,
    after_outcome smallint NOT NULL,
    before_kopecks bigint NOT NULL,
    after_kopecks bigint NOT NULL,
    changed boolean NOT NULL,
    -- 1 given only after, -1 given only before: of what asks for a service
    given smallint NOT NULL,
    after_facts jsonb
);

CREATE FUNCTION replay.tell() RETURNS void
LANGUAGE sql AS $$
    WITH asked AS MATERIALIZED (
        SELECT
            s.n, s.task, s.business_date, s.terminal_id, s.stan, s.message_class, s.assigned
        FROM replay.step AS s
        WHERE s.task IN (1, 2) AND s.outcome <> 204 AND s.kind NOT IN (1, 2, 7, 9)
            AND (s.kind <> 6 OR s.parent_message_class = 2)
    ), line AS (
        SELECT s.n, l.category, l.covered_kopecks AS before_kopecks, 0 AS after_kopecks
        FROM asked AS s
        INNER JOIN replay.taken_line AS l
            USING (business_date, terminal_id, stan, message_class, assigned)
        WHERE l.part > 0 AND l.category IS NOT NULL
        UNION ALL
        SELECT s.n, l.category, 0, l.covered_kopecks
        FROM asked AS s
        INNER JOIN replay.taken_line AS l
            USING (business_date, terminal_id, stan, message_class, assigned)
        WHERE s.task = 2 AND l.part > 0 AND l.category IS NOT NULL
        UNION ALL
        SELECT s.n, l.category, 0, l.covered_kopecks
        FROM asked AS s
        INNER JOIN replay.result AS r ON s.n = r.n
        INNER JOIN journal.event AS e
            ON r.batch_no = e.block AND r.place = e.ordinal AND e.lane = 32000
        INNER JOIN journal.line AS l
            ON e.business_date = l.business_date AND e.terminal_id = l.terminal_id
                AND e.stan = l.stan AND e.message_class = l.message_class
                AND e.assigned = l.assigned
        WHERE l.part > 0 AND l.category IS NOT NULL
    )
    INSERT INTO replay.money
    SELECT l.n, l.category, sum(l.before_kopecks), sum(l.after_kopecks)
    FROM line AS l
    GROUP BY l.n, l.category;

    INSERT INTO replay.told
    SELECT
        s.n, s.bucket, s.holder_id, coalesce(p.code, ''), coalesce(m.category, ''), s.kind,
        s.outcome, coalesce(r.outcome, s.outcome), coalesce(m.before_kopecks, 0),
        coalesce(m.after_kopecks, 0),
        s.task = 1 AND (s.outcome, s.covered_kopecks)
        IS DISTINCT FROM (r.outcome, r.covered_kopecks),
        CASE WHEN s.kind IN (2, 3, 7)
            THEN (coalesce(r.outcome, s.outcome) > 700)::integer - (s.outcome > 700)::integer
            ELSE 0 END,
        CASE WHEN s.task = 1 THEN r.facts ELSE s.facts END
    FROM replay.step AS s
    LEFT JOIN replay.result AS r ON s.n = r.n
    LEFT JOIN terminals.terminal AS t ON s.terminal_id = t.terminal_id
    LEFT JOIN terminals.provider AS p ON t.provider_id = p.provider_id
    LEFT JOIN (
        SELECT
            m.n, min(m.category) AS category, sum(m.before_kopecks) AS before_kopecks,
            sum(m.after_kopecks) AS after_kopecks
        FROM replay.money AS m
        GROUP BY m.n
    ) AS m ON s.n = m.n
    WHERE s.task IN (1, 2) AND s.outcome <> 204;
$$;

-- The sums: of everything (both names empty), of each category, of each provider. Amounts of a line
-- count for the line's own category, decisions for the first. A holder gains who is covered more than
-- before or, if as much, is given more often.
CREATE FUNCTION replay.sums()
RETURNS TABLE (
    level text, name text, transactions bigint, before_approved bigint, after_approved bigint,
    before_recorded bigint, after_recorded bigint, before_refused bigint, after_refused bigint,
    before_kopecks bigint, after_kopecks bigint, changed bigint, gainers bigint, losers bigint,
    gained_kopecks bigint, lost_kopecks bigint
)
LANGUAGE sql STABLE AS $$
    WITH one AS (
        -- of each holder at each provider in each category
        SELECT
            o.provider, o.category, o.holder_id, sum(o.transactions) AS transactions,
            sum(o.before_approved) AS before_approved, sum(o.after_approved) AS after_approved,
            sum(o.before_recorded) AS before_recorded, sum(o.after_recorded) AS after_recorded,
            sum(o.changed) AS changed, sum(o.given) AS given,
            sum(o.before_kopecks)::bigint AS before_kopecks,
            sum(o.after_kopecks)::bigint AS after_kopecks
        FROM (
            SELECT
                t.provider, t.category, t.holder_id, 1 AS transactions,
                (t.before_outcome > 701)::integer AS before_approved,
                (t.after_outcome > 701)::integer AS after_approved,
                (t.before_outcome = 701)::integer AS before_recorded,
                (t.after_outcome = 701)::integer AS after_recorded,
                t.changed::integer AS changed, t.given::integer AS given, 0::bigint AS before_kopecks,
                0::bigint AS after_kopecks
            FROM replay.told AS t
            UNION ALL
            SELECT
                t.provider, m.category, t.holder_id, 0, 0, 0, 0, 0, 0, 0, m.before_kopecks,
                m.after_kopecks
            FROM replay.money AS m
            INNER JOIN replay.told AS t ON m.n = t.n
        ) AS o
        GROUP BY o.provider, o.category, o.holder_id
    ), holder AS (
        SELECT
            l.level, l.name, sum(o.transactions) AS transactions,
            sum(o.before_approved) AS before_approved, sum(o.after_approved) AS after_approved,
            sum(o.before_recorded) AS before_recorded, sum(o.after_recorded) AS after_recorded,
            sum(o.transactions - o.before_approved - o.before_recorded) AS before_refused,
            sum(o.transactions - o.after_approved - o.after_recorded) AS after_refused,
            sum(o.changed) AS changed, sum(o.given) AS given,
            sum(o.before_kopecks) AS before_kopecks, sum(o.after_kopecks) AS after_kopecks,
            sum(o.after_kopecks - o.before_kopecks) AS more
        FROM one AS o
        CROSS JOIN LATERAL (
            VALUES ('all', ''), ('category', o.category), ('provider', o.provider)
        ) AS l (level, name)
        GROUP BY l.level, l.name, o.holder_id
    )
    SELECT
        h.level, h.name, sum(h.transactions)::bigint, sum(h.before_approved)::bigint,
        sum(h.after_approved)::bigint, sum(h.before_recorded)::bigint,
        sum(h.after_recorded)::bigint, sum(h.before_refused)::bigint,
        sum(h.after_refused)::bigint, sum(h.before_kopecks)::bigint,
        sum(h.after_kopecks)::bigint, sum(h.changed)::bigint,
        count(*) FILTER (WHERE h.more > 0 OR (h.more = 0 AND h.given > 0)),
        count(*) FILTER (WHERE h.more < 0 OR (h.more = 0 AND h.given < 0)),
        coalesce(sum(h.more) FILTER (WHERE h.more > 0), 0)::bigint,
        coalesce(-sum(h.more) FILTER (WHERE h.more < 0), 0)::bigint
    FROM holder AS h
    GROUP BY h.level, h.name
    ORDER BY h.level, h.name
$$;

-- What changed, that which weighs most first.
CREATE VIEW replay.change AS
SELECT
    t.holder_id,
    s.business_date,
    s.terminal_id,
    s.stan,
    s.kind,
    t.provider,
    t.category,
    s.decided_at,
    t.before_outcome,
    t.after_outcome,
    t.before_kopecks,
    t.after_kopecks,
    t.given,
    s.facts AS before_facts,
    t.after_facts
FROM replay.told AS t
INNER JOIN replay.step AS s ON t.n = s.n
WHERE t.changed
ORDER BY abs(t.after_kopecks - t.before_kopecks) DESC, abs(t.given) DESC, t.n;

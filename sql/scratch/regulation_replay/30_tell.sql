-- What came of it, step by step: the amounts by category (net: what returns and reversals took back
-- is negative; a reservation is no money), and each decision before and after.
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

-- The sums: of everything, of each category, of each provider. Amounts of a line count for the
-- line's own category, decisions for the first. A holder gains who is covered more than before or,
-- if as much, is given more often.
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

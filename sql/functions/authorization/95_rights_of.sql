-- What a card opens at a terminal: the rights of every holder it may act for, in services given
-- there and in the regulation version now in force; the card's own holder first.
CREATE OR REPLACE FUNCTION engine.rights_of(
    p_card_id uuid, p_own_holder_id uuid, p_terminal_id text, p_decided_at timestamptz,
    p_first integer, p_limit integer
) RETURNS TABLE (
    holder_id uuid,
    service text,
    service_version integer,
    item_class text,
    unit_okei smallint,
    scale smallint,
    granted bigint,
    remaining bigint,
    percent smallint,
    valid_to date
)
LANGUAGE sql STABLE AS $$
    SELECT
        a.holder_id, s.service, s.version, w.item_class, w.unit_okei, w.scale, w.granted,
        greatest(0, w.granted - coalesce(n.used, 0)), r.percent,
        rights.period_end(w.period, period.starts, w.valid_to)
    FROM rights.card_authority AS a
    INNER JOIN regulations.region AS g ON a.region = g.region
    CROSS JOIN LATERAL (SELECT (p_decided_at AT TIME ZONE g.time_zone)::date AS day) AS today
    INNER JOIN terminals.terminal_service AS h ON h.terminal_id = p_terminal_id
    CROSS JOIN LATERAL (
        SELECT v.service, v.version FROM regulations.service AS v
        WHERE v.service = h.service AND today.day BETWEEN v.valid_from AND v.valid_to
        ORDER BY v.version DESC LIMIT 1
    ) AS s
    INNER JOIN regulations.price_rule AS r ON s.service = r.service AND s.version = r.version
    INNER JOIN rights.allowance AS w
        ON a.bucket = w.bucket AND a.holder_id = w.holder_id AND r.measure = w.measure
        AND today.day BETWEEN w.valid_from AND w.valid_to
        AND engine.is_for(r.categories, r.excluded, w.category)
    CROSS JOIN LATERAL (
        SELECT rights.period_start(w.period, today.day, w.valid_from) AS starts
    ) AS period
    LEFT JOIN rights.counter AS n
        ON w.bucket = n.bucket AND w.allowance_id = n.allowance_id
        AND period.starts = n.period_start
    WHERE a.card_id = p_card_id AND a.card_state = 1
        AND today.day BETWEEN a.valid_from AND a.valid_to
        AND (a.scope IS NULL OR s.service = ANY (a.scope))
    ORDER BY
        a.holder_id = p_own_holder_id DESC, a.holder_id, s.service, w.item_class, w.priority,
        w.valid_to, w.allowance_id
    OFFSET p_first LIMIT p_limit
$$;

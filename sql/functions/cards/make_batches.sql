-- Put the orders that are planned for p_on or before and in no batch yet into batches, by delivery
-- point and day, at most p_size orders each. Returns the new batches; none where nothing is due or
-- the role at work has no right to it.
CREATE OR REPLACE FUNCTION cards.make_batches(p_on date, p_size integer, p_by text)
RETURNS TABLE (batch_id uuid, number integer, point_id text, planned_on date, orders bigint)
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('cards.plan', 0));
    RETURN QUERY
    WITH due AS (
        SELECT o.order_id, o.point_id, o.planned_on,
            (row_number() OVER (
                PARTITION BY o.planned_on, o.point_id ORDER BY o.ordered_at, o.order_id
            ) - 1) / p_size AS part
        FROM cards.card_order AS o
        WHERE
            o.batch_id IS NULL AND o.state = 1 AND o.point_id IS NOT NULL
            AND o.planned_on <= p_on AND cards.may('cards.batch')
    ),

    parts AS (
        SELECT gen_random_uuid() AS batch_id, d.planned_on, d.point_id, d.part, count(*) AS orders
        FROM due AS d GROUP BY d.planned_on, d.point_id, d.part
    ),

    made AS (
        INSERT INTO cards.batch AS b (batch_id, point_id, planned_on)
        SELECT p.batch_id, p.point_id, p.planned_on FROM parts AS p
        ORDER BY p.planned_on, p.point_id, p.part
        RETURNING b.batch_id, b.number
    ),

    filled AS (
        UPDATE cards.card_order AS o SET batch_id = p.batch_id
        FROM due AS d
        INNER JOIN parts AS p
            ON d.planned_on = p.planned_on AND d.point_id = p.point_id AND d.part = p.part
        WHERE o.order_id = d.order_id
    ),

    noted AS (
        INSERT INTO cards.batch_step (batch_id, number, step, made_by, reason)
        SELECT m.batch_id, 1, 'made', p_by, 'its day has come' FROM made AS m
    )

    SELECT m.batch_id, m.number, p.point_id, p.planned_on, p.orders
    FROM made AS m INNER JOIN parts AS p ON m.batch_id = p.batch_id
    ORDER BY m.number;
END
$$;
REVOKE ALL ON FUNCTION cards.make_batches(date, integer, text) FROM public;
GRANT EXECUTE ON FUNCTION cards.make_batches(date, integer, text) TO spk_issuing;

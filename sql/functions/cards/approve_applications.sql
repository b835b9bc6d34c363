-- Approve applications for one delivery point: each becomes an order that fixes the version of
-- the register's entry it is printed from, and the first day with room in the plan of the point
-- (delivery_point.daily_max) and of the centre (p_day_max), at most p_days_ahead days ahead.
-- Whether the person may have the card is looked at again. A row for each: 1 ordered; 2 it does
-- not wait for approval (any more); 3 the applicant's own officer may not approve it; 4 the card
-- number is taken: draw others for these and call again; 5 the person has died, moved away,
-- cannot be printed or represents no longer: refuse it; 6 no such delivery point; 7 the plan is
-- full; 8 the role at work has no right to it; 9 the card that it replaces is none any more:
-- refuse it.
CREATE OR REPLACE FUNCTION cards.approve_applications(
    p_application_ids uuid[],
    p_order_ids uuid[],
    p_card_ids uuid[],
    p_card_numbers text[],
    p_challenges bytea[],
    p_point_id text,
    p_by text,
    p_at timestamptz,
    p_on date,
    p_valid_to date,
    p_day_max integer,
    p_days_ahead integer
) RETURNS TABLE (application_id uuid, result smallint)
LANGUAGE plpgsql AS $$
DECLARE
    point cards.delivery_point;
BEGIN
    -- One planner at a time, so that a day is never planned beyond its room; the rows locked after
    -- that are as they stand now.
    PERFORM pg_advisory_xact_lock(hashtextextended('cards.plan', 0));
    PERFORM FROM cards.application AS a
    WHERE a.application_id = ANY(p_application_ids) ORDER BY a.application_id FOR UPDATE;
    SELECT p.* INTO point FROM cards.delivery_point AS p WHERE p.point_id = p_point_id AND p.active;
    RETURN QUERY
    WITH asked AS (
        SELECT DISTINCT ON (q.application_id)
            q.application_id AS asked_id, q.order_id, q.card_id, q.card_number, q.challenge,
            a.number, a.state, a.citizen_id, a.represents, a.replaces, a.applied_by
        FROM unnest(p_application_ids, p_order_ids, p_card_ids, p_card_numbers, p_challenges)
            AS q (application_id, order_id, card_id, card_number, challenge)
        LEFT JOIN cards.application AS a ON q.application_id = a.application_id
        ORDER BY q.application_id
    ),

    people AS (
        SELECT DISTINCT f.citizen_id, f.region, f.register_version, f.alive AND f.printable AS fit
        FROM (SELECT array_agg(DISTINCT q.citizen_id) AS ids FROM asked AS q) AS w
        CROSS JOIN LATERAL register.issuing_facts(
            w.ids, array_fill(NULL::text, ARRAY[cardinality(w.ids)])
        ) AS f
    ),

    facts AS (
        SELECT q.*, f.region, f.register_version, f.fit, r.valid_to AS represents_to,
            r.holder_id AS represented
        FROM asked AS q
        LEFT JOIN people AS f ON q.citizen_id = f.citizen_id
        LEFT JOIN LATERAL (
            SELECT b.holder_id, b.valid_to
            FROM register.represented_by(q.citizen_id, p_on) AS b
            WHERE b.holder_id = q.represents AND b.valid_from <= p_on
        ) AS r ON q.represents IS NOT NULL
    ),

    judged AS (
        SELECT f.*,
            CASE
                WHEN NOT cards.may('cards.approve') THEN 8
                WHEN f.state IS DISTINCT FROM 1 THEN 2
                WHEN lower(f.applied_by) = lower(p_by) THEN 3
                WHEN point.point_id IS NULL THEN 6
                WHEN f.region IS DISTINCT FROM point.region OR NOT f.fit
                    OR (f.represents IS NOT NULL AND f.represented IS NULL) THEN 5
                WHEN f.replaces IS NOT NULL AND NOT EXISTS (
                    SELECT FROM cards.card AS c WHERE c.card_id = f.replaces AND c.live
                ) THEN 9
                ELSE 1
            END AS verdict
        FROM facts AS f
    ),

    days AS (
        SELECT d.day::date AS on_day,
            sum(greatest(0, least(
                point.daily_max - coalesce(sum(l.orders) FILTER (WHERE l.point_id = p_point_id), 0),
                p_day_max - coalesce(sum(l.orders), 0)
            ))) OVER (ORDER BY d.day) AS room
        FROM generate_series(p_on, p_on + p_days_ahead, interval '1 day') AS d (day)
        LEFT JOIN cards.day_plan AS l ON l.planned_on = d.day::date
        GROUP BY d.day
    ),

    planned AS (
        SELECT j.*, (SELECT min(d.on_day) FROM days AS d WHERE d.room >= j.turn) AS on_day
        FROM (
            SELECT g.*, row_number() OVER (ORDER BY g.number) AS turn
            FROM judged AS g WHERE g.verdict = 1
        ) AS j
    ),

    ordered AS (
        INSERT INTO cards.card_order AS o (
            order_id, citizen_id, register_version, card_id, card_number, issuer_region, valid_to,
            challenge, state, ordered_at, represents, point_id, planned_on, expected_on
        )
        SELECT
            n.order_id, n.citizen_id, n.register_version, n.card_id, n.card_number, n.region,
            least(p_valid_to, n.represents_to), n.challenge, 1, p_at, n.represents, p_point_id,
            n.on_day, n.on_day + point.delivery_days
        FROM planned AS n
        WHERE
            n.on_day IS NOT NULL
            AND NOT EXISTS (SELECT FROM cards.card AS c WHERE c.card_number = n.card_number)
        ON CONFLICT (card_number) DO NOTHING
        RETURNING o.order_id, o.planned_on
    ),

    counted AS (
        INSERT INTO cards.day_plan AS l (planned_on, point_id, orders)
        SELECT o.planned_on, p_point_id, count(*) FROM ordered AS o GROUP BY o.planned_on
        ON CONFLICT ON CONSTRAINT day_plan_pkey DO UPDATE SET orders = l.orders + excluded.orders
    ),

    decided AS (
        UPDATE cards.application AS a
        SET state = 2, order_id = n.order_id, point_id = p_point_id, decided_at = p_at,
            decided_by = p_by
        FROM planned AS n
        INNER JOIN ordered AS o ON n.order_id = o.order_id
        WHERE a.application_id = n.asked_id
        RETURNING a.application_id
    )

    SELECT
        j.asked_id,
        (CASE
            WHEN j.verdict <> 1 THEN j.verdict
            WHEN d.application_id IS NOT NULL THEN 1
            WHEN n.on_day IS NULL THEN 7
            ELSE 4
        END)::smallint
    FROM judged AS j
    LEFT JOIN planned AS n ON j.asked_id = n.asked_id
    LEFT JOIN decided AS d ON j.asked_id = d.application_id;
END
$$;
REVOKE ALL ON FUNCTION cards.approve_applications(
    uuid[], uuid[], uuid[], text[], bytea[], text, text, timestamptz, date, date, integer, integer
) FROM public;
GRANT EXECUTE ON FUNCTION cards.approve_applications(
    uuid[], uuid[], uuid[], text[], bytea[], text, text, timestamptz, date, date, integer, integer
) TO spk_issuing;

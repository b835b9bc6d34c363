-- Order one card for who stands at a station's counter: the station's right to walk-ins approves
-- it at once. Returns 1 ordered; 2 refused, because the citizen holds an active card and no
-- replacement was asked for; 3 the card number is taken: draw another and call again; 4 the
-- station or the role at work has no right to walk-ins. An application that waits is served by
-- it.
CREATE OR REPLACE FUNCTION cards.order_card(
    p_order_id uuid,
    p_citizen_id uuid,
    p_register_version integer,
    p_station_id text,
    p_card_id uuid,
    p_card_number text,
    p_issuer_region smallint,
    p_valid_to date,
    p_challenge bytea,
    p_ordered_at timestamptz,
    p_on date,
    p_replace boolean
) RETURNS smallint
LANGUAGE sql AS $$
WITH held AS (
    SELECT EXISTS (
        SELECT FROM cards.card AS c
        WHERE c.holder_id = p_citizen_id AND c.state = 1 AND c.medium = 1 AND c.valid_to >= p_on
            AND c.represents IS NULL
    ) AND NOT p_replace AS refused,
    cards.may('cards.walk_in') AND EXISTS (
        SELECT FROM cards.station AS s WHERE s.station_id = p_station_id AND s.walk_in
    ) AS allowed
),

ordered AS (
    INSERT INTO cards.card_order (
        order_id, citizen_id, register_version, station_id, card_id, card_number,
        issuer_region, valid_to, challenge, state, ordered_at
    )
    SELECT
        p_order_id, p_citizen_id, p_register_version, p_station_id, p_card_id, p_card_number,
        p_issuer_region, p_valid_to, p_challenge, 1, p_ordered_at
    FROM held AS h
    WHERE
        h.allowed AND NOT h.refused
        AND NOT EXISTS (SELECT FROM cards.card AS c WHERE c.card_number = p_card_number)
    ON CONFLICT (card_number) DO NOTHING
    RETURNING order_id
),

taken_up AS (
    UPDATE cards.application AS a SET state = 2, order_id = n.order_id
    FROM ordered AS n
    WHERE a.citizen_id = p_citizen_id AND a.represents IS NULL AND a.state = 1
)

SELECT (
    CASE
        WHEN NOT h.allowed THEN 4
        WHEN EXISTS (SELECT FROM ordered) THEN 1
        WHEN h.refused THEN 2
        ELSE 3
    END
)::smallint
FROM held AS h;
$$;
REVOKE ALL ON FUNCTION cards.order_card(
    uuid, uuid, integer, text, uuid, text, smallint, date, bytea, timestamptz, date, boolean
) FROM public;
GRANT EXECUTE ON FUNCTION cards.order_card(
    uuid, uuid, integer, text, uuid, text, smallint, date, bytea, timestamptz, date, boolean
) TO spk_issuing;

-- Ask for cards, one of each person named by id or СНИЛС (one of the two is NULL). Kinds as in
-- cards.application; where another person is named beside, the card acts for that one alone. A
-- row for each asked, with its place from 1: 1 applied; 2 nobody has this number; 3 dead; 4 lives
-- in another region than the delivery point; 5 the name cannot be printed; 6 waits for such a
-- card already; 7 holds an active card, so it is a replacement; 8 holds no card that could be
-- replaced; 9 does not represent the other; 10 no such delivery point; 11 the role at work has no
-- right to it.
CREATE OR REPLACE FUNCTION cards.apply_for_cards(
    p_application_ids uuid[],
    p_citizen_ids uuid[],
    p_snils text[],
    p_represented_ids uuid[],
    p_represented_snils text[],
    p_kind smallint,
    p_point_id text,
    p_by text,
    p_reason text,
    p_at timestamptz,
    p_on date
) RETURNS TABLE (place bigint, result smallint, number bigint)
LANGUAGE sql AS $$
WITH asked AS (
    SELECT
        a.place, a.application_id, h.citizen_id, h.region, h.alive, h.printable,
        r.citizen_id AS represents, p.region AS point_region,
        coalesce(p_represented_ids[a.place]::text, p_represented_snils[a.place]) IS NOT NULL
        OR p_kind = 3 AS for_another
    FROM unnest(p_application_ids) WITH ORDINALITY AS a (application_id, place)
    LEFT JOIN register.issuing_facts(p_citizen_ids, p_snils) AS h ON a.place = h.place
    LEFT JOIN register.issuing_facts(p_represented_ids, p_represented_snils) AS r
        ON a.place = r.place AND r.alive
    LEFT JOIN cards.delivery_point AS p ON p.point_id = p_point_id AND p.active
),

holding AS (
    SELECT
        a.*,
        c.card_id AS held, coalesce(c.state = 1 AND c.valid_to >= p_on, FALSE) AS active
    FROM asked AS a
    LEFT JOIN LATERAL (
        SELECT k.card_id, k.state, k.valid_to
        FROM cards.card AS k
        WHERE
            k.holder_id = a.citizen_id AND k.medium = 1 AND k.live
            AND k.represents IS NOT DISTINCT FROM a.represents
        ORDER BY k.state, k.issued_at DESC LIMIT 1
    ) AS c ON TRUE
),

judged AS (
    SELECT
        h.*,
        CASE
            WHEN NOT cards.may('cards.apply') THEN 11
            WHEN h.point_region IS NULL THEN 10
            WHEN h.citizen_id IS NULL THEN 2
            WHEN NOT h.alive THEN 3
            WHEN h.region <> h.point_region THEN 4
            WHEN NOT h.printable THEN 5
            WHEN h.for_another AND NOT EXISTS (
                SELECT FROM register.represented_by(h.citizen_id, p_on) AS r
                WHERE
                    r.holder_id = h.represents AND h.represents <> h.citizen_id
                    AND r.valid_from <= p_on
            ) THEN 9
            WHEN EXISTS (
                SELECT FROM cards.application AS w
                WHERE
                    w.citizen_id = h.citizen_id AND w.state IN (1, 2)
                    AND w.represents IS NOT DISTINCT FROM h.represents
            ) THEN 6
            WHEN p_kind IN (1, 3) AND h.active THEN 7
            WHEN p_kind IN (2, 4) AND h.held IS NULL THEN 8
            ELSE 1
        END AS result
    FROM holding AS h
),

applied AS (
    INSERT INTO cards.application (
        application_id, kind, citizen_id, represents, replaces, point_id, state, applied_at,
        applied_by, reason
    )
    SELECT
        j.application_id, p_kind, j.citizen_id, j.represents,
        CASE WHEN p_kind IN (2, 4) THEN j.held END, p_point_id, 1, p_at, p_by, p_reason
    FROM judged AS j
    WHERE j.result = 1
    ORDER BY j.place
    ON CONFLICT DO NOTHING
    RETURNING application_id, number
)

SELECT
    j.place,
    (CASE WHEN j.result = 1 AND a.number IS NULL THEN 6 ELSE j.result END)::smallint,
    a.number
FROM judged AS j
LEFT JOIN applied AS a ON j.application_id = a.application_id
ORDER BY j.place;
$$;
REVOKE ALL ON FUNCTION cards.apply_for_cards(
    uuid[], uuid[], text[], uuid[], text[], smallint, text, text, text, timestamptz, date
) FROM public;
GRANT EXECUTE ON FUNCTION cards.apply_for_cards(
    uuid[], uuid[], text[], uuid[], text[], smallint, text, text, text, timestamptz, date
) TO spk_issuing;

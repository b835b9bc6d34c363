-- Who is due for a renewed card: active chip cards that end before p_before, in the order of
-- their last days, from after the card named (NULL: from the first), at most p_most. Not whose
-- holder waits for a card of this purpose already. The register is asked when they are applied
-- for.
CREATE OR REPLACE FUNCTION cards.renewals_due(
    p_on date, p_before date, p_after_valid_to date, p_after_card_id uuid, p_most integer
) RETURNS TABLE (
    card_id uuid, valid_to date, citizen_id uuid, represents uuid, point_id text
)
LANGUAGE sql STABLE AS $$
SELECT c.card_id, c.valid_to, c.holder_id, c.represents, l.point_id
FROM cards.card AS c
LEFT JOIN LATERAL (
    SELECT a.point_id FROM cards.application AS a
    WHERE a.citizen_id = c.holder_id AND a.point_id IS NOT NULL
    ORDER BY a.number DESC LIMIT 1
) AS l ON TRUE
WHERE
    c.live AND c.valid_to >= p_on AND c.valid_to < p_before
    AND (c.valid_to, c.card_id) > (
        coalesce(p_after_valid_to, '-infinity'::date),
        coalesce(p_after_card_id, '00000000-0000-0000-0000-000000000000'::uuid)
    )
    AND c.state = 1 AND c.medium = 1
    AND NOT EXISTS (
        SELECT FROM cards.application AS w
        WHERE
            w.citizen_id = c.holder_id AND w.state IN (1, 2)
            AND w.represents IS NOT DISTINCT FROM c.represents
    )
ORDER BY c.valid_to, c.card_id
LIMIT p_most;
$$;
REVOKE ALL ON FUNCTION cards.renewals_due(date, date, date, uuid, integer) FROM public;
GRANT EXECUTE ON FUNCTION cards.renewals_due(date, date, date, uuid, integer) TO spk_issuing;

-- The name that is printed on an ordered card: from the version of the register's entry that the
-- order fixed. Only for this station's order while it is open, and for a day after its card was
-- issued, since a card is printed when its chip is written; the read is logged with its purpose. No
-- row: there is no such order, or its version was never kept.
CREATE OR REPLACE FUNCTION register.face_for_order(
    p_order_id uuid, p_station_id text, p_read_by text, p_purpose text
) RETURNS TABLE (last_name text, first_name text, patronymic text)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
INSERT INTO register.read_log (read_by, purpose, way, citizen_id, kinds)
SELECT p_read_by, p_purpose, 'card', o.citizen_id, ARRAY['citizen']
FROM cards.card_order AS o
WHERE
    o.order_id = p_order_id AND o.station_id = p_station_id
    AND (o.state = 1 OR (o.state = 2 AND o.issued_at > now() - interval '1 day'));

SELECT
    coalesce(c.last_name, h.body ->> 'last_name'),
    coalesce(c.first_name, h.body ->> 'first_name'),
    CASE WHEN c.citizen_id IS NULL THEN h.body ->> 'patronymic' ELSE c.patronymic END
FROM cards.card_order AS o
LEFT JOIN register.citizen AS c
    ON o.citizen_id = c.citizen_id AND o.register_version = c.version
LEFT JOIN register.history AS h
    ON h.kind = 'citizen' AND h.record_id = o.citizen_id AND h.version = o.register_version
WHERE
    o.order_id = p_order_id AND o.station_id = p_station_id
    AND (o.state = 1 OR (o.state = 2 AND o.issued_at > now() - interval '1 day'))
    AND (c.citizen_id IS NOT NULL OR h.record_id IS NOT NULL);
$$;
REVOKE ALL ON FUNCTION register.face_for_order(uuid, text, text, text) FROM public;
GRANT EXECUTE ON FUNCTION register.face_for_order(uuid, text, text, text) TO spk_issuing;

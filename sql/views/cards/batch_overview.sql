-- One row per batch, with how far it is.
CREATE OR REPLACE VIEW cards.batch_overview AS
SELECT
    b.batch_id,
    b.number,
    b.point_id,
    b.planned_on,
    b.station_id,
    p.name AS point_name,
    o.open,
    o.issued
FROM cards.batch AS b
INNER JOIN cards.delivery_point AS p ON b.point_id = p.point_id
CROSS JOIN LATERAL (
    SELECT
        count(*) FILTER (WHERE c.state = 1)::integer AS open,
        count(*) FILTER (WHERE c.state = 2)::integer AS issued
    FROM cards.card_order AS c
    WHERE c.batch_id = b.batch_id
) AS o;

GRANT SELECT ON cards.batch_overview TO spk_issuing;

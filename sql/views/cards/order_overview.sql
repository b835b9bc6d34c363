-- One row per card order, with what became of it.
CREATE OR REPLACE VIEW cards.order_overview AS
SELECT
    o.order_id,
    o.station_id,
    o.state,
    o.citizen_id,
    o.register_version,
    o.card_id,
    o.card_number,
    o.issuer_region,
    o.valid_to,
    o.challenge,
    o.ordered_at,
    o.batch_id,
    o.point_id,
    o.represents,
    c.issued_at,
    c.state AS card_state,
    c.certificate_tap,
    c.certificate_pin,
    (
        SELECT count(*)
        FROM rights.card_authority AS a
        WHERE a.card_id = c.card_id
    ) + (
        SELECT count(*)
        FROM cards.authority_elsewhere AS e
        WHERE e.card_id = c.card_id
    ) AS holder_count
FROM cards.card_order AS o
LEFT JOIN cards.card AS c ON o.card_id = c.card_id AND o.state = 2;

GRANT SELECT ON cards.order_overview TO spk_issuing;

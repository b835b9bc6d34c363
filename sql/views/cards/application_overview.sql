-- One row per application for a card: how far it is, when the card is expected, and whom to call.
CREATE OR REPLACE VIEW cards.application_overview AS
SELECT
    a.application_id,
    a.number,
    a.kind,
    a.state,
    a.citizen_id,
    a.represents,
    a.replaces,
    a.point_id,
    a.applied_at,
    a.applied_by,
    a.reason,
    a.decided_at,
    a.decided_by,
    a.decision_reason,
    a.order_id,
    o.card_id,
    o.card_number,
    o.register_version,
    o.station_id,
    o.planned_on,
    o.expected_on,
    o.issued_on,
    b.number AS batch_number,
    cards.stage_of(o.card_id) AS stage,
    p.name AS point_name,
    p.address AS point_address,
    p.phone AS point_phone,
    p.hours AS point_hours
FROM cards.application AS a
LEFT JOIN cards.card_order AS o ON a.order_id = o.order_id
LEFT JOIN cards.batch AS b ON o.batch_id = b.batch_id
LEFT JOIN cards.delivery_point AS p ON a.point_id = p.point_id;

GRANT SELECT ON cards.application_overview TO spk_issuing;

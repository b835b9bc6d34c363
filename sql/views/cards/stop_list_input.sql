-- What the next stop-list is made of, in one row and one snapshot. Cards are 16 bytes each in one
-- string, which is a tenth of what a million rows would take.
CREATE OR REPLACE VIEW cards.stop_list_input AS
WITH standing AS (
    SELECT
        uuid_send(coalesce(c.card_id, m.card_id)) AS reference,
        c.card_id IS NOT NULL AND c.state <> 1 AND c.valid_to >= current_date AS stopped,
        coalesce(c.valid_to >= current_date, FALSE) AS in_use,
        m.card_id IS NOT NULL AS in_base
    FROM cards.card AS c
    FULL JOIN cards.stop_list_member AS m ON c.card_id = m.card_id
)

SELECT
    (SELECT coalesce(max(l.number), 0) FROM cards.stop_list AS l) AS newest,
    (SELECT coalesce(max(l.base), 0) FROM cards.stop_list AS l) AS base,
    coalesce(string_agg(s.reference, '') FILTER (WHERE s.stopped), '') AS stopped,
    coalesce(string_agg(s.reference, '') FILTER (WHERE s.in_use AND NOT s.stopped), '') AS served,
    coalesce(string_agg(s.reference, '') FILTER (WHERE s.stopped AND NOT s.in_base), '')
        AS stopped_since,
    coalesce(string_agg(s.reference, '') FILTER (WHERE s.in_base AND NOT s.stopped), '')
        AS let_go_since
FROM standing AS s;

GRANT SELECT ON cards.stop_list_input TO spk_issuing;

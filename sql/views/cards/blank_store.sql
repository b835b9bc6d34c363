-- What is left of each lot of blanks in the store, and where the rest went.
CREATE OR REPLACE VIEW cards.blank_store AS
SELECT
    l.lot,
    l.family,
    coalesce(sum(m.blanks) FILTER (WHERE m.kind = 1), 0)::integer AS received,
    coalesce(sum(m.blanks) FILTER (WHERE m.kind = 2), 0)::integer AS given,
    coalesce(sum(m.blanks) FILTER (WHERE m.kind = 3), 0)::integer AS returned,
    coalesce(sum(m.blanks) FILTER (WHERE m.kind = 5), 0)::integer AS destroyed,
    coalesce(
        sum(CASE WHEN m.kind IN (1, 3) THEN m.blanks ELSE -m.blanks END), 0
    )::integer AS in_store
FROM cards.blank_lot AS l
LEFT JOIN cards.blank_move AS m ON l.lot = m.lot
GROUP BY l.lot, l.family;

GRANT SELECT ON cards.blank_store TO spk_issuing, spk_operator;

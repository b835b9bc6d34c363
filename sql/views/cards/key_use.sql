-- What still uses each generation of a key: live cards by the card master of their 9B key and by
-- the issuing CA of their certificates, terminals by the terminal master of their keys.
CREATE OR REPLACE VIEW cards.key_use AS
SELECT
    'card master' AS key,
    c.card_master::text AS generation,
    count(*)::integer AS users,
    max(c.valid_to) AS last_day
FROM cards.card AS c
WHERE c.live AND c.medium = 1
GROUP BY c.card_master
UNION ALL
SELECT
    'issuing CA' AS key,
    encode(t.issuer_key_id, 'hex') AS generation,
    count(DISTINCT t.card_id)::integer AS users,
    max(c.valid_to) AS last_day
FROM cards.certificate AS t
INNER JOIN cards.card AS c ON t.card_id = c.card_id
WHERE c.live
GROUP BY t.issuer_key_id
UNION ALL
SELECT
    'terminal master' AS key,
    l.master_generation::text AS generation,
    count(*)::integer AS users,
    NULL AS last_day
FROM terminals.terminal AS l
WHERE l.state = 1
GROUP BY l.master_generation;

GRANT SELECT ON cards.key_use TO spk_operator;

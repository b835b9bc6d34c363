-- What happened to a card, one row a step.
CREATE OR REPLACE VIEW cards.card_life AS
SELECT
    t.card_id,
    t.number,
    f.name AS from_stage,
    s.name AS to_stage,
    t.made_at,
    t.made_by,
    t.made_as,
    t.reason
FROM cards.transition AS t
INNER JOIN cards.stage AS f ON t.from_stage = f.stage
INNER JOIN cards.stage AS s ON t.to_stage = s.stage;

GRANT SELECT ON cards.card_life TO spk_issuing, spk_operator;

-- Every decision as it was told, with what its codes are called: what `spk explain` makes sentences
-- of. Neither card, holder nor what the card signed.
CREATE OR REPLACE VIEW journal.told AS
SELECT
    e.business_date,
    e.terminal_id,
    e.stan,
    e.message_class,
    e.assigned,
    e.kind,
    e.advice,
    e.service,
    e.service_version,
    e.outcome,
    e.approval_code,
    e.covered_kopecks,
    e.paid_kopecks,
    e.facts,
    e.decided_at,
    e.lane,
    e.block,
    e.ordinal,
    s.name_ru AS service_ru,
    s.name_en AS service_en,
    s.consumes,
    i.item,
    i.name_ru AS item_ru,
    i.name_en AS item_en,
    i.unit_okei,
    i.scale,
    r.time_zone,
    f.text_ru AS refusal_ru,
    f.text_en AS refusal_en,
    f.remedy_ru,
    f.remedy_en
FROM journal.event AS e
LEFT JOIN regulations.service AS s ON e.service = s.service AND e.service_version = s.version
LEFT JOIN regulations.refusal AS f
    ON e.service = f.service AND e.service_version = f.version AND e.outcome = f.outcome
LEFT JOIN regulations.item AS i ON e.facts ->> 'item' = i.item
LEFT JOIN terminals.terminal AS t ON e.terminal_id = t.terminal_id
LEFT JOIN regulations.region AS r ON t.region = r.region;

GRANT SELECT ON journal.told TO spk_operator, spk_finance;

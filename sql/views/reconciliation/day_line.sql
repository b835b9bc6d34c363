-- What finance reads of each transaction that moved something: one row per part of a line, with
-- whose terminal it was and where the decision stands in the journal. The amounts of returns and
-- reversals are negative (of a return's reversal, positive), so that every sum is net. What a
-- reservation holds is no money, nor is what gives it back. Nothing here names a card or a rights
-- holder; category and entitlement still tell about a person and are left out of whatever goes to a
-- provider.
-- Filter by business_date or by posting_date: each has its index.
CREATE OR REPLACE VIEW reconciliation.day_line AS
SELECT
    e.business_date,
    e.posting_date,
    e.decided_at,
    p.code AS provider_code,
    p.inn AS provider_inn,
    p.contract,
    e.terminal_id,
    e.stan,
    e.message_class,
    e.assigned,
    e.kind,
    e.advice,
    e.outcome,
    e.approval_code,
    e.parent_business_date AS original_business_date,
    e.parent_stan AS original_stan,
    e.service,
    e.service_version,
    l.line_no,
    l.part,
    l.item,
    l.quantity,
    -- the unit is the catalogue's: a line in another unit is refused
    i.unit_okei,
    i.scale,
    l.gross_kopecks,
    l.covered_kopecks,
    l.paid_kopecks,
    l.measure,
    l.category,
    l.entitlement_id,
    l.funding,
    l.tariff,
    l.excess,
    e.lane,
    e.block,
    e.ordinal
FROM journal.event AS e
INNER JOIN journal.line AS l
    ON
        e.business_date = l.business_date
        AND e.terminal_id = l.terminal_id
        AND e.stan = l.stan
        AND e.message_class = l.message_class
        AND e.assigned = l.assigned
LEFT JOIN terminals.terminal AS t ON e.terminal_id = t.terminal_id
LEFT JOIN terminals.provider AS p ON t.provider_id = p.provider_id
LEFT JOIN regulations.item AS i ON l.item = i.item
WHERE e.kind IN (3, 4, 5, 6, 8) AND (e.kind <> 6 OR e.parent_message_class = 2) AND l.part > 0;

GRANT SELECT ON reconciliation.day_line TO spk_finance;

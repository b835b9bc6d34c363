-- Which numbers of terminals are taken, and where each decision stands: what the audit of keys over
-- several databases compares. Nothing here names a card, a holder or an amount.
CREATE OR REPLACE VIEW journal.key_use AS
SELECT
    e.business_date,
    e.terminal_id,
    e.stan,
    e.message_class,
    e.assigned,
    e.lane,
    e.block,
    e.ordinal,
    e.outcome
FROM journal.event AS e;

GRANT SELECT ON journal.key_use TO spk_operator, spk_finance;

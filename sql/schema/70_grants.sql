-- Each role gets what its work needs and no more. The journal can be read and added to; nobody,
-- not even its owner's functions, changes or deletes a row (the triggers see to the owner).

GRANT USAGE ON SCHEMA rights, regulations, terminals, cards, journal, engine, reconciliation
TO spk_processing;
GRANT SELECT ON ALL TABLES IN SCHEMA rights, regulations, terminals, journal TO spk_processing;
GRANT SELECT ON cards.card TO spk_processing;
GRANT INSERT, UPDATE (used, granted) ON rights.counter TO spk_processing;
-- Nothing updates a reservation, but who may not cannot lock it either.
GRANT INSERT, DELETE, UPDATE (expires_at) ON rights.reservation TO spk_processing;
GRANT INSERT ON journal.block, journal.event, journal.line, journal.child TO spk_processing;
GRANT SELECT, INSERT ON reconciliation.terminal_totals TO spk_processing;
GRANT UPDATE (
    key_generation, next_key_generation, master_generation, next_master_generation
) ON terminals.terminal TO spk_processing;
GRANT INSERT, UPDATE ON terminals.presence TO spk_processing;

GRANT USAGE ON SCHEMA register, rights, regulations TO spk_register;
-- Persons are reached through functions alone: they log who reads what, and write only in a change.
GRANT SELECT ON register.benefit_category, register.record_kind TO spk_register;
GRANT SELECT, INSERT, UPDATE ON rights.entitlement TO spk_register;
-- Where an allowance's periods begin is fixed for good: moving it would start a fresh counter.
GRANT SELECT, INSERT, UPDATE (granted, valid_to, priority) ON rights.allowance TO spk_register;
GRANT SELECT ON rights.counter, rights.card_authority TO spk_register;
GRANT SELECT, INSERT, UPDATE ON rights.holder_fact TO spk_register;
GRANT SELECT ON ALL TABLES IN SCHEMA regulations TO spk_register;
-- For one function: who began or ceased to act for whom by the calendar.
GRANT USAGE ON SCHEMA cards TO spk_register;

GRANT USAGE ON SCHEMA register, rights, cards, regulations TO spk_issuing;
GRANT SELECT ON regulations.region TO spk_issuing;
GRANT SELECT, INSERT, UPDATE ON cards.card, cards.card_order TO spk_issuing;
GRANT SELECT, INSERT, UPDATE, DELETE ON cards.pin_challenge TO spk_issuing;
GRANT SELECT ON cards.station TO spk_issuing;
GRANT SELECT, INSERT, UPDATE ON rights.card_authority TO spk_issuing;

GRANT USAGE ON SCHEMA terminals, cards, rights, regulations, journal TO spk_operator;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA terminals TO spk_operator;
GRANT DELETE ON terminals.terminal_service TO spk_operator;
GRANT SELECT, INSERT, UPDATE ON cards.station TO spk_operator;
GRANT SELECT, UPDATE (state, version) ON cards.card TO spk_operator;
GRANT SELECT, UPDATE (card_state) ON rights.card_authority TO spk_operator;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA regulations TO spk_operator;

GRANT USAGE ON SCHEMA terminals, regulations, journal, reconciliation TO spk_finance;
GRANT SELECT ON ALL TABLES IN SCHEMA terminals, regulations, journal, reconciliation
TO spk_finance;

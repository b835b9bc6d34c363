-- Roles are shared by all databases of one server, so each is made only once.
-- They cannot log in: a program's own login is granted the one role it needs.
DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY[
        'spk_owner', 'spk_processing', 'spk_register', 'spk_issuing', 'spk_finance', 'spk_operator',
        'spk_exchange'
    ] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.rolname = role_name) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
        END IF;
        EXECUTE format('GRANT %I TO CURRENT_USER', role_name);
    END LOOP;
    EXECUTE format('GRANT CREATE, CONNECT ON DATABASE %I TO spk_owner', current_database());
END
$$;

SET LOCAL ROLE spk_owner;

CREATE SCHEMA register;
CREATE SCHEMA rights;
CREATE SCHEMA regulations;
CREATE SCHEMA cards;
CREATE SCHEMA terminals;
CREATE SCHEMA journal;
CREATE SCHEMA engine;
CREATE SCHEMA reconciliation;
CREATE SCHEMA exchange;

COMMENT ON SCHEMA register IS 'Personal data. Closed to the processing role.';
COMMENT ON SCHEMA rights IS 'Who may use what, led by the holder''s bucket. No personal data.';
COMMENT ON SCHEMA regulations IS 'Service regulations as rows, the same on every database target.';
COMMENT ON SCHEMA cards IS 'Cards, their orders and the stations that make them.';
COMMENT ON SCHEMA terminals IS 'Providers, their terminals and the services allowed there.';
COMMENT ON SCHEMA journal IS 'Append-only events: the truth from which balances can be rebuilt.';
COMMENT ON SCHEMA engine IS 'Functions that decide transactions.';
COMMENT ON SCHEMA reconciliation IS 'Totals and exports for finance.';
COMMENT ON SCHEMA exchange IS 'Messages to and from other agencies. Personal data while under way.';

-- Functions are closed unless a schema's users are named here; new ones inherit it.
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM public;
ALTER DEFAULT PRIVILEGES IN SCHEMA engine GRANT EXECUTE ON FUNCTIONS TO spk_processing;
ALTER DEFAULT PRIVILEGES IN SCHEMA rights GRANT EXECUTE ON FUNCTIONS
TO spk_processing, spk_register, spk_issuing, spk_finance;
ALTER DEFAULT PRIVILEGES IN SCHEMA cards GRANT EXECUTE ON FUNCTIONS TO spk_issuing, spk_operator;
ALTER DEFAULT PRIVILEGES IN SCHEMA register GRANT EXECUTE ON FUNCTIONS TO spk_register;
ALTER DEFAULT PRIVILEGES IN SCHEMA terminals GRANT EXECUTE ON FUNCTIONS
TO spk_operator, spk_processing;
ALTER DEFAULT PRIVILEGES IN SCHEMA reconciliation GRANT EXECUTE ON FUNCTIONS
TO spk_finance, spk_processing;

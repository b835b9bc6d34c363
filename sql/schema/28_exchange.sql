-- Exchange with other agencies: DCI messages of the register, files of ЕГИССО.
-- A message holds personal data only while it is under way: once delivered, its body is erased.

CREATE TABLE exchange.peer (
    peer_id text PRIMARY KEY CHECK (peer_id ~ '^[A-Za-z0-9][A-Za-z0-9._:-]{0,98}$'),
    name text NOT NULL CHECK (name <> ''),
    -- the public keys (RFC 7517) that its messages are checked with
    jwks jsonb NOT NULL,
    token_sha256 bytea NOT NULL CHECK (octet_length(token_sha256) = 32),
    -- where its answers go, and where its own registry listens; NULL: nowhere
    callback_uri text,
    registry_uri text,
    -- how messages to it are signed
    algorithm text NOT NULL CHECK (algorithm IN ('ed25519', 'ES256')),
    -- the parts of a record that it may ask for and be told
    parts text[] NOT NULL,
    messages_per_minute integer NOT NULL CHECK (messages_per_minute BETWEEN 1 AND 60000),
    active boolean NOT NULL DEFAULT TRUE
);

-- What it may ask for. Where consent is needed, only those are told of who gave it (scope exchange
-- of register.consent).
CREATE TABLE exchange.peer_purpose (
    peer_id text NOT NULL REFERENCES exchange.peer,
    purpose text NOT NULL CHECK (purpose ~ '^[A-Za-z0-9][A-Za-z0-9._:-]{0,49}$'),
    needs_consent boolean NOT NULL,
    PRIMARY KEY (peer_id, purpose)
);

-- Messages taken lately, so that none is taken twice. Older ones are refused by their time.
CREATE TABLE exchange.message (
    peer_id text NOT NULL REFERENCES exchange.peer,
    message_id text NOT NULL,
    correlation_id text NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (peer_id, message_id)
);

CREATE INDEX message_received ON exchange.message (received_at);

-- What became of each search and subscription. Of what was found only the ids are kept.
CREATE TABLE exchange.request (
    peer_id text NOT NULL REFERENCES exchange.peer,
    correlation_id text NOT NULL,
    ordinal integer NOT NULL,
    txn_type text NOT NULL CHECK (txn_type IN ('search', 'subscribe')),
    transaction_id text NOT NULL,
    reference_id text NOT NULL,
    received_at timestamptz NOT NULL,
    status text NOT NULL,
    reason text,
    reason_message text,
    page_size integer,
    page_number integer,
    total_count integer,
    record_ids uuid[],
    PRIMARY KEY (peer_id, correlation_id, ordinal)
);

CREATE INDEX request_transaction ON exchange.request (peer_id, transaction_id);
CREATE INDEX request_reference ON exchange.request (peer_id, reference_id);
CREATE INDEX request_received ON exchange.request (received_at);

CREATE TABLE exchange.subscription (
    code uuid PRIMARY KEY,
    peer_id text NOT NULL REFERENCES exchange.peer,
    transaction_id text NOT NULL,
    event text NOT NULL CHECK (event IN ('REGISTER', 'NewHouseHoldMember')),
    entity text NOT NULL CHECK (entity IN ('Member', 'Group')),
    purpose text NOT NULL,
    condition jsonb NOT NULL,
    locale text NOT NULL,
    -- when it is to be told of; NULL frequency: at once
    starts_at timestamptz,
    ends_at timestamptz,
    frequency text,
    next_at timestamptz NOT NULL,
    subscribed_at timestamptz NOT NULL,
    unsubscribed_at timestamptz
);

CREATE UNIQUE INDEX subscribed_once ON exchange.subscription (
    peer_id, event, entity, md5(condition::text)
) WHERE unsubscribed_at IS NULL;
CREATE INDEX subscription_due ON exchange.subscription (next_at) WHERE unsubscribed_at IS NULL;

-- Of whom subscribers are to be told: as the register learned it, and as each subscription waits
-- for it. Written in the very transaction that changes the register.
CREATE TABLE exchange.news (
    news_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event text NOT NULL,
    citizen_id uuid NOT NULL
);

CREATE TABLE exchange.subscribed_news (
    code uuid NOT NULL REFERENCES exchange.subscription,
    citizen_id uuid NOT NULL,
    PRIMARY KEY (code, citizen_id)
);

-- Argument: the event. While nobody is subscribed to it, an import of a million costs one look.
CREATE FUNCTION exchange.keep_news() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF EXISTS (
        SELECT FROM exchange.subscription AS s
        WHERE s.event = tg_argv[0] AND s.unsubscribed_at IS NULL
    ) THEN
        INSERT INTO exchange.news (event, citizen_id)
        SELECT tg_argv[0], a.citizen_id FROM after AS a;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER news_of_new AFTER INSERT ON register.citizen REFERENCING NEW TABLE AS after
FOR EACH STATEMENT EXECUTE FUNCTION exchange.keep_news('REGISTER');
CREATE TRIGGER news_of_changed AFTER UPDATE ON register.citizen REFERENCING NEW TABLE AS after
FOR EACH STATEMENT EXECUTE FUNCTION exchange.keep_news('REGISTER');
CREATE TRIGGER news_of_member AFTER INSERT ON register.household_member
REFERENCING NEW TABLE AS after
FOR EACH STATEMENT EXECUTE FUNCTION exchange.keep_news('NewHouseHoldMember');

-- Messages to others, until they are taken.
CREATE TABLE exchange.outbox (
    message_id uuid PRIMARY KEY,
    peer_id text NOT NULL REFERENCES exchange.peer,
    action text NOT NULL,
    uri text NOT NULL,
    -- header and message as they will be signed; erased when the message was taken or given up
    header bytea,
    message bytea,
    queued_at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    next_at timestamptz NOT NULL,
    delivered_at timestamptz,
    dead_at timestamptz,
    fault text,
    CHECK (delivered_at IS NULL OR dead_at IS NULL)
);

CREATE INDEX outbox_due ON exchange.outbox (next_at)
WHERE delivered_at IS NULL AND dead_at IS NULL;
CREATE INDEX outbox_queued ON exchange.outbox (queued_at);

-- Our own requests to others' registries, and what they answered.
CREATE TABLE exchange.asked (
    transaction_id text PRIMARY KEY,
    peer_id text NOT NULL REFERENCES exchange.peer,
    action text NOT NULL,
    asked_at timestamptz NOT NULL
);

CREATE TABLE exchange.inbox (
    peer_id text NOT NULL REFERENCES exchange.peer,
    message_id text NOT NULL,
    action text NOT NULL,
    transaction_id text NOT NULL,
    received_at timestamptz NOT NULL,
    message bytea NOT NULL,
    PRIMARY KEY (peer_id, message_id)
);

CREATE INDEX inbox_transaction ON exchange.inbox (transaction_id);
CREATE INDEX inbox_received ON exchange.inbox (received_at);

GRANT USAGE ON SCHEMA exchange TO spk_exchange, spk_operator;
GRANT SELECT ON ALL TABLES IN SCHEMA exchange TO spk_exchange;
GRANT INSERT, DELETE ON exchange.message, exchange.request, exchange.outbox, exchange.inbox
TO spk_exchange;
GRANT INSERT ON exchange.subscription, exchange.asked TO spk_exchange;
GRANT DELETE ON exchange.news TO spk_exchange;
GRANT INSERT, DELETE ON exchange.subscribed_news TO spk_exchange;
GRANT UPDATE ON exchange.subscription, exchange.outbox TO spk_exchange;
-- Who speaks with strangers all day cannot let new ones in.
GRANT SELECT, INSERT, UPDATE ON exchange.peer, exchange.peer_purpose TO spk_operator;
GRANT DELETE ON exchange.peer_purpose TO spk_operator;
ALTER DEFAULT PRIVILEGES IN SCHEMA exchange GRANT EXECUTE ON FUNCTIONS TO spk_exchange;

CREATE TABLE terminals.provider (
    provider_id uuid PRIMARY KEY,
    code text NOT NULL UNIQUE,
    inn text NOT NULL CHECK (inn ~ '^[0-9]{10}$'),
    kind text NOT NULL REFERENCES regulations.provider_kind,
    name_ru text NOT NULL,
    name_en text NOT NULL,
    contract text NOT NULL
);

CREATE TABLE terminals.terminal (
    terminal_id text PRIMARY KEY CHECK (terminal_id ~ '^[A-Z0-9]{8}$'),
    provider_id uuid NOT NULL REFERENCES terminals.provider,
    region smallint NOT NULL REFERENCES regulations.region,
    -- 1 active, 2 blocked
    state smallint NOT NULL DEFAULT 1 CHECK (state IN (1, 2)),
    -- generation of the terminal's MAC key (DE53), derived inside the HSM
    key_generation smallint NOT NULL DEFAULT 1 CHECK (key_generation BETWEEN 0 AND 255),
    -- the generation that was handed out and waits for the first message under it
    next_key_generation smallint CHECK (next_key_generation BETWEEN 0 AND 255),
    -- generation of the key under which the next MAC key travels; changes only with a new
    -- parameter file
    exchange_generation smallint NOT NULL DEFAULT 1 CHECK (exchange_generation BETWEEN 0 AND 255),
    -- generation of the terminal master that both keys come from; moves on with a key change
    master_generation smallint NOT NULL DEFAULT 1 CHECK (master_generation BETWEEN 1 AND 255),
    -- that of the key that was handed out
    next_master_generation smallint CHECK (next_master_generation BETWEEN 1 AND 255),
    -- whether it may renew the social passports of cards at its reader
    writes_passports boolean NOT NULL DEFAULT FALSE,
    CHECK (next_key_generation <> key_generation),
    CHECK ((next_key_generation IS NULL) = (next_master_generation IS NULL))
);

-- What each terminal said last about itself (0800).
CREATE TABLE terminals.presence (
    terminal_id text PRIMARY KEY REFERENCES terminals.terminal,
    heard_at timestamptz NOT NULL,
    signed_on boolean NOT NULL,
    -- when it signed on or off last; NULL: never did
    signed_at timestamptz,
    -- when it ended a business day last
    cut_over_at timestamptz
);

CREATE TABLE terminals.terminal_service (
    terminal_id text NOT NULL REFERENCES terminals.terminal,
    service text NOT NULL,
    PRIMARY KEY (terminal_id, service)
);

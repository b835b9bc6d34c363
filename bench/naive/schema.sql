-- The tables of the naive reference: what a first version of such a service would have.
CREATE TABLE terminal (
    terminal_id text PRIMARY KEY,
    active boolean NOT NULL
);

CREATE TABLE card (
    card_id uuid PRIMARY KEY,
    holder_id uuid NOT NULL,
    public_key bytea NOT NULL,
    active boolean NOT NULL
);

CREATE TABLE item (
    item text PRIMARY KEY,
    item_class text NOT NULL,
    percent integer NOT NULL,
    cap_kopecks bigint NOT NULL
);

CREATE TABLE allowance (
    allowance_id bigint PRIMARY KEY,
    holder_id uuid NOT NULL,
    item_class text NOT NULL,
    remaining bigint NOT NULL CHECK (remaining >= 0)
);
CREATE INDEX allowance_holder ON allowance (holder_id, item_class);

CREATE TABLE sale (
    business_date date NOT NULL,
    terminal_id text NOT NULL,
    stan integer NOT NULL,
    card_id uuid NOT NULL,
    decided_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    outcome text NOT NULL,
    covered_kopecks bigint NOT NULL,
    signature bytea NOT NULL,
    PRIMARY KEY (business_date, terminal_id, stan)
);

CREATE TABLE sale_line (
    business_date date NOT NULL,
    terminal_id text NOT NULL,
    stan integer NOT NULL,
    item text NOT NULL,
    quantity bigint NOT NULL,
    gross_kopecks bigint NOT NULL,
    covered_kopecks bigint NOT NULL,
    allowance_id bigint NOT NULL,
    PRIMARY KEY (business_date, terminal_id, stan, item)
);

-- What a terminal may give one card offline within some days, by service ('*': any other service)
-- and benefit category (empty: everybody). Of several that fit a citizen each number's highest
-- counts.
CREATE TABLE cards.offline_limit (
    service text NOT NULL,
    category text NOT NULL DEFAULT '',
    transactions integer NOT NULL CHECK (transactions BETWEEN 0 AND 1000),
    gross_kopecks bigint NOT NULL CHECK (gross_kopecks BETWEEN 0 AND 100000000),
    window_days integer NOT NULL CHECK (window_days BETWEEN 1 AND 366),
    PRIMARY KEY (service, category)
);

INSERT INTO cards.offline_limit (service, transactions, gross_kopecks, window_days)
VALUES ('*', 3, 300000, 7);

-- The newest social passport made for each card, whether or not it is on the card yet.
CREATE TABLE cards.passport (
    card_id uuid PRIMARY KEY,
    number integer NOT NULL CHECK (number > 0),
    -- what it was made from: the same again needs no new one
    content_sha256 bytea NOT NULL CHECK (length(content_sha256) = 32),
    valid_to date NOT NULL,
    -- the signed passport (processing.wire.social_passport)
    body bytea NOT NULL CHECK (length(body) <= 1900)
);

GRANT SELECT ON cards.offline_limit TO spk_issuing, spk_operator;
GRANT INSERT, UPDATE, DELETE ON cards.offline_limit TO spk_operator;
GRANT SELECT, INSERT, UPDATE ON cards.passport TO spk_issuing;

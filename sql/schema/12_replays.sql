-- What a draft would have done with past transactions (spk regulation replay): the record that a
-- proposal needs. It belongs to the draft's exact text and is never edited.
CREATE TABLE regulations.replay (
    replay_id uuid PRIMARY KEY,
    service text NOT NULL,
    version integer NOT NULL,
    -- SHA-256 of the draft's text
    document_sha256 bytea NOT NULL CHECK (length(document_sha256) = 32),
    -- the posting dates whose transactions were decided anew
    first_day date NOT NULL,
    last_day date NOT NULL,
    -- sums of everything, by category and by provider (processing.regulations.replay_model.Sums)
    sums jsonb NOT NULL,
    made_by text NOT NULL CHECK (made_by <> ''),
    made_at timestamptz NOT NULL,
    CHECK (first_day <= last_day)
);

CREATE INDEX replay_document ON regulations.replay (document_sha256, made_at DESC);

-- The transactions that the draft decides otherwise, those that weigh most first. They name holders
-- by reference only.
CREATE TABLE regulations.replay_change (
    replay_id uuid NOT NULL REFERENCES regulations.replay,
    number integer NOT NULL,
    change jsonb NOT NULL,
    PRIMARY KEY (replay_id, number)
);

-- Erase what is no longer needed: message ids past their window, requests, delivered or dead
-- messages and answers past their keeping. How many rows went.
CREATE OR REPLACE FUNCTION exchange.forget(
    p_messages_before timestamptz, p_requests_before timestamptz
) RETURNS integer
LANGUAGE sql AS $$
WITH messages AS (
    DELETE FROM exchange.message WHERE received_at < p_messages_before RETURNING 1
),

requests AS (
    DELETE FROM exchange.request WHERE received_at < p_requests_before RETURNING 1
),

sent AS (
    DELETE FROM exchange.outbox
    WHERE queued_at < p_requests_before AND (delivered_at IS NOT NULL OR dead_at IS NOT NULL)
    RETURNING 1
),

answers AS (
    DELETE FROM exchange.inbox WHERE received_at < p_requests_before RETURNING 1
)

SELECT ((SELECT count(*) FROM messages) + (SELECT count(*) FROM requests)
    + (SELECT count(*) FROM sent) + (SELECT count(*) FROM answers))::integer
$$;

-- Take messages that are due, for the time of p_lease: who takes them and dies leaves them to
-- the next. One participant that is away holds up nobody: at most p_each of its messages.
CREATE OR REPLACE FUNCTION exchange.take_due(
    p_at timestamptz, p_lease interval, p_limit integer
) RETURNS SETOF exchange.outbox
LANGUAGE sql AS $$
UPDATE exchange.outbox AS o SET next_at = p_at + p_lease, attempts = o.attempts + 1
WHERE o.message_id IN (
    SELECT d.message_id FROM exchange.outbox AS d
    WHERE d.delivered_at IS NULL AND d.dead_at IS NULL AND d.next_at <= p_at
    ORDER BY d.next_at
    LIMIT p_limit
    FOR UPDATE SKIP LOCKED
)
RETURNING o.*
$$;

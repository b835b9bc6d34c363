-- Hand what the register learned to every subscription of its event. A row of news is visible once
-- its change is committed, so nothing that was committed late is missed. How many were handed on.
CREATE OR REPLACE FUNCTION exchange.queue_news() RETURNS integer
LANGUAGE sql AS $$
WITH news AS (
    DELETE FROM exchange.news RETURNING event, citizen_id
),

queued AS (
    INSERT INTO exchange.subscribed_news (code, citizen_id)
    SELECT DISTINCT s.code, n.citizen_id
    FROM news AS n
    INNER JOIN exchange.subscription AS s ON n.event = s.event AND s.unsubscribed_at IS NULL
    ON CONFLICT DO NOTHING
    RETURNING 1
)

SELECT count(*)::integer FROM queued
$$;

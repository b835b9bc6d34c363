-- Subscribe, unless the same subscription stands already; whether it was new.
CREATE OR REPLACE FUNCTION exchange.subscribe(p_subscription exchange.subscription)
RETURNS boolean
LANGUAGE sql AS $$
WITH added AS (
    INSERT INTO exchange.subscription SELECT (p_subscription).*
    ON CONFLICT (peer_id, event, entity, md5(condition::text)) WHERE unsubscribed_at IS NULL
    DO NOTHING
    RETURNING code
)

SELECT EXISTS (SELECT FROM added)
$$;

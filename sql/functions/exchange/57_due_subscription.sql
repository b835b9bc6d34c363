-- A subscription that there is news for and that is to be told of it now; nobody else takes it
-- until this transaction ends.
CREATE OR REPLACE FUNCTION exchange.due_subscription(p_at timestamptz)
RETURNS SETOF exchange.subscription
LANGUAGE sql AS $$
SELECT s.*
FROM exchange.subscription AS s
WHERE
    s.unsubscribed_at IS NULL AND s.next_at <= p_at
    AND coalesce(s.starts_at, '-infinity') <= p_at
    AND coalesce(s.ends_at, 'infinity') >= p_at
    AND EXISTS (SELECT FROM exchange.subscribed_news AS n WHERE n.code = s.code)
ORDER BY s.next_at
LIMIT 1
FOR UPDATE SKIP LOCKED
$$;

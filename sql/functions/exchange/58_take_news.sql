-- Take what a subscription is to be told of now, at most p_limit citizens. Only the caller's
-- transaction sees it gone: what is not told after all is still there.
CREATE OR REPLACE FUNCTION exchange.take_news(p_code uuid, p_limit integer) RETURNS uuid[]
LANGUAGE sql AS $$
WITH taken AS (
    DELETE FROM exchange.subscribed_news AS n
    WHERE n.code = p_code AND n.citizen_id IN (
        SELECT o.citizen_id FROM exchange.subscribed_news AS o
        WHERE o.code = p_code ORDER BY o.citizen_id LIMIT p_limit
    )
    RETURNING n.citizen_id
)

SELECT array(SELECT t.citizen_id FROM taken AS t ORDER BY t.citizen_id)
$$;

-- End a participant's subscriptions, all or none. Tells of each code what it was before:
-- active, ended, another's, or unknown.
CREATE OR REPLACE FUNCTION exchange.unsubscribe(
    p_peer_id text, p_codes text[], p_at timestamptz
) RETURNS TABLE (code text, state text)
LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY
    SELECT
        asked.code,
        CASE
            WHEN s.code IS NULL THEN 'unknown'
            WHEN s.peer_id <> p_peer_id THEN 'of another'
            WHEN s.unsubscribed_at IS NOT NULL THEN 'ended'
            ELSE 'active'
        END
    FROM unnest(p_codes) WITH ORDINALITY AS asked (code, number)
    LEFT JOIN LATERAL (
        SELECT t.* FROM exchange.subscription AS t WHERE t.code::text = asked.code FOR UPDATE
    ) AS s ON TRUE
    ORDER BY asked.number;
    UPDATE exchange.subscription AS s SET unsubscribed_at = p_at
    WHERE
        s.code::text = ANY(p_codes)
        AND (
            SELECT bool_and(t.peer_id = p_peer_id AND t.unsubscribed_at IS NULL)
                AND count(*) = cardinality(p_codes)
            FROM exchange.subscription AS t WHERE t.code::text = ANY(p_codes)
        );
END
$$;

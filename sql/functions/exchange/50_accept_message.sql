-- Take a message once: NULL when it is new, else the correlation id that its first copy was given.
-- Two copies at a time: the second waits for the first.
CREATE OR REPLACE FUNCTION exchange.accept_message(
    p_peer_id text, p_message_id text, p_correlation_id text, p_at timestamptz
) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    earlier text;
BEGIN
    INSERT INTO exchange.message (peer_id, message_id, correlation_id, received_at)
    VALUES (p_peer_id, p_message_id, p_correlation_id, p_at)
    ON CONFLICT DO NOTHING;
    IF NOT found THEN
        SELECT m.correlation_id INTO STRICT earlier FROM exchange.message AS m
        WHERE m.peer_id = p_peer_id AND m.message_id = p_message_id;
    END IF;
    RETURN earlier;
END
$$;

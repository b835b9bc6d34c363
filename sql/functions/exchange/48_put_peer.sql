-- Register a participant, or change what is agreed with it. p_token_sha256 NULL: the token that it
-- has stays. FALSE: it is new and has none, nothing was written.
CREATE OR REPLACE FUNCTION exchange.put_peer(
    p_peer_id text, p_name text, p_jwks jsonb, p_token_sha256 bytea, p_callback_uri text,
    p_registry_uri text, p_algorithm text, p_parts text[], p_messages_per_minute integer,
    p_purposes text[], p_needs_consent boolean[]
) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    token CONSTANT bytea := coalesce(p_token_sha256, (
        SELECT p.token_sha256 FROM exchange.peer AS p WHERE p.peer_id = p_peer_id
    ));
BEGIN
    IF token IS NULL THEN
        RETURN FALSE;
    END IF;
    INSERT INTO exchange.peer (
        peer_id, name, jwks, token_sha256, callback_uri, registry_uri, algorithm, parts,
        messages_per_minute
    ) VALUES (
        p_peer_id, p_name, p_jwks, token, p_callback_uri, p_registry_uri, p_algorithm, p_parts,
        p_messages_per_minute
    )
    ON CONFLICT (peer_id) DO UPDATE SET
        name = excluded.name, jwks = excluded.jwks, token_sha256 = excluded.token_sha256,
        callback_uri = excluded.callback_uri, registry_uri = excluded.registry_uri,
        algorithm = excluded.algorithm, parts = excluded.parts,
        messages_per_minute = excluded.messages_per_minute;
    DELETE FROM exchange.peer_purpose AS u WHERE u.peer_id = p_peer_id;
    INSERT INTO exchange.peer_purpose (peer_id, purpose, needs_consent)
    SELECT p_peer_id, u.purpose, u.needs_consent
    FROM unnest(p_purposes, p_needs_consent) AS u (purpose, needs_consent);
    RETURN TRUE;
END
$$;
GRANT EXECUTE ON FUNCTION exchange.put_peer(
    text, text, jsonb, bytea, text, text, text, text[], integer, text[], boolean[]
) TO spk_operator;

-- Register a personalization station by the SHA-256 of its token. An existing one is left alone
-- and false returned, unless p_renew: then its token is replaced and the old one stops working.
CREATE OR REPLACE FUNCTION cards.add_station(
    p_station_id text, p_token_sha256 bytea, p_renew boolean
) RETURNS boolean
LANGUAGE sql AS $$
WITH added AS (
    INSERT INTO cards.station AS s (station_id, token_sha256) VALUES (p_station_id, p_token_sha256)
    ON CONFLICT (station_id) DO UPDATE
        SET token_sha256 = excluded.token_sha256, active = TRUE
        WHERE p_renew
    RETURNING s.station_id
)

SELECT EXISTS (SELECT FROM added);
$$;
REVOKE ALL ON FUNCTION cards.add_station(text, bytea, boolean) FROM public;
GRANT EXECUTE ON FUNCTION cards.add_station(text, bytea, boolean) TO spk_operator;

-- Keep a card's new passport; false when another with this number was made meanwhile.
CREATE OR REPLACE FUNCTION cards.keep_passport(
    p_card_id uuid, p_number integer, p_content_sha256 bytea, p_valid_to date, p_body bytea
) RETURNS boolean
LANGUAGE sql AS $$
WITH kept AS (
    INSERT INTO cards.passport AS p (card_id, number, content_sha256, valid_to, body)
    VALUES (p_card_id, p_number, p_content_sha256, p_valid_to, p_body)
    ON CONFLICT (card_id) DO UPDATE SET
        number = excluded.number,
        content_sha256 = excluded.content_sha256,
        valid_to = excluded.valid_to,
        body = excluded.body
    WHERE p.number = excluded.number - 1
    RETURNING p.number
)

SELECT EXISTS (SELECT FROM kept);
$$;
REVOKE ALL ON FUNCTION cards.keep_passport(uuid, integer, bytea, date, bytea) FROM public;
GRANT EXECUTE ON FUNCTION cards.keep_passport(uuid, integer, bytea, date, bytea) TO spk_issuing;

-- Keep the newest revocation list of an issuing CA. Returns false when another was faster.
CREATE OR REPLACE FUNCTION cards.keep_revocation_list(
    p_issuer_key_id bytea, p_number bigint, p_this_update timestamptz, p_next_update timestamptz,
    p_entries integer, p_body bytea
) RETURNS boolean
LANGUAGE sql AS $$
WITH kept AS (
    INSERT INTO cards.revocation_list AS l (
        issuer_key_id, number, this_update, next_update, entries, body
    ) VALUES (p_issuer_key_id, p_number, p_this_update, p_next_update, p_entries, p_body)
    ON CONFLICT (issuer_key_id) DO UPDATE SET
        number = excluded.number,
        this_update = excluded.this_update,
        next_update = excluded.next_update,
        entries = excluded.entries,
        body = excluded.body
    WHERE l.number < excluded.number
    RETURNING l.number
)

SELECT EXISTS (SELECT FROM kept);
$$;
REVOKE ALL ON FUNCTION cards.keep_revocation_list(
    bytea, bigint, timestamptz, timestamptz, integer, bytea
) FROM public;
GRANT EXECUTE ON FUNCTION cards.keep_revocation_list(
    bytea, bigint, timestamptz, timestamptz, integer, bytea
) TO spk_issuing;

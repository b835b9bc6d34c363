-- What a revocation list tells: certificates that are revoked and would else be good.
CREATE OR REPLACE VIEW cards.revoked_certificate AS
SELECT
    c.issuer_key_id,
    c.serial,
    c.reason,
    (extract(EPOCH FROM c.revoked_at) * 1000)::bigint AS revoked_at_ms
FROM cards.certificate AS c
WHERE c.revoked_at IS NOT NULL AND c.valid_to > now();

GRANT SELECT ON cards.revoked_certificate TO spk_issuing;

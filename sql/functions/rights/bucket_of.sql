-- The rights holder's bucket, 0 to 1023: the low ten bits of the first two bytes of SHA-256 over
-- the holder's UUID. Equal to processing.kernel.bucket.bucket_of; a test compares them.
CREATE OR REPLACE FUNCTION rights.bucket_of(p_holder_id uuid) RETURNS smallint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (
    ((get_byte(sha256(uuid_send(p_holder_id)), 0) & 3) << 8)
    | get_byte(sha256(uuid_send(p_holder_id)), 1)
)::smallint;

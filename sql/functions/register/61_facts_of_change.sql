-- What services may ask about the citizens whose policies a change made, changed or removed, as
-- rights.accept takes it: of each all that is known of them now, in place of what was known.
CREATE OR REPLACE FUNCTION register.facts_of_change(p_change_id bigint)
RETURNS TABLE (bucket smallint, action text, body jsonb)
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
WITH touched AS (
    SELECT p.citizen_id FROM register.policy AS p WHERE p.change_id = p_change_id
    UNION
    SELECT h.citizen_id FROM register.history AS h
    WHERE h.ended_by = p_change_id AND h.kind = 'policy'
),

holder AS (
    SELECT t.citizen_id, rights.bucket_of(t.citizen_id) AS bucket FROM touched AS t
)

SELECT
    h.bucket, 'facts',
    jsonb_build_object('bucket', h.bucket, 'holder_id', h.citizen_id, 'facts', (
        SELECT coalesce(
            jsonb_agg(jsonb_build_object(
                'bucket', h.bucket, 'holder_id', h.citizen_id, 'fact', f.fact,
                'valid_from', p.valid_from,
                -- a policy without an end
                'valid_to', coalesce(p.valid_to, '9999-12-31'::date),
                'provider_code', f.provider_code
            )),
            '[]'
        )
        FROM register.policy AS p
        CROSS JOIN LATERAL (
            VALUES ('policy', NULL), ('attachment', p.clinic_code)
        ) AS f (fact, provider_code)
        WHERE
            p.citizen_id = h.citizen_id AND (f.fact = 'policy' OR f.provider_code IS NOT NULL)
    ))
FROM holder AS h;
$$;
REVOKE ALL ON FUNCTION register.facts_of_change(bigint) FROM public, spk_register;

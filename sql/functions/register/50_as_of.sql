-- The records of a citizen as the register knew them at an instant: what is the latest now, if it
-- was recorded then, and what has been superseded or removed since. The families they lived in then
-- belong to the file: members, accounts and rights.
CREATE OR REPLACE FUNCTION register.citizen_as_of(p_citizen_id uuid, p_at timestamptz)
RETURNS TABLE (
    kind text, record_id uuid, version integer, change_id bigint, recorded_at timestamptz,
    body jsonb
)
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
WITH own AS (
    SELECT r.kind, r.record_id, r.version, r.change_id, r.recorded_at, r.body
    FROM register.record AS r
    WHERE r.citizen_id = p_citizen_id AND r.recorded_at <= p_at
    UNION ALL
    SELECT h.kind, h.record_id, h.version, h.change_id, h.recorded_from, h.body
    FROM register.history AS h
    WHERE h.citizen_id = p_citizen_id AND h.recorded_from <= p_at AND p_at < h.recorded_to
),

family AS (
    SELECT f.*
    FROM (
        SELECT DISTINCT (o.body ->> 'household_id')::uuid AS household_id
        FROM own AS o WHERE o.kind = 'household_member'
    ) AS m
    CROSS JOIN LATERAL register.household_as_of(m.household_id, p_at) AS f
    WHERE NOT EXISTS (
        SELECT FROM own AS o WHERE o.kind = f.kind AND o.record_id = f.record_id
    )
)

SELECT a.kind, a.record_id, a.version, a.change_id, a.recorded_at, a.body
FROM (SELECT o.* FROM own AS o UNION ALL SELECT f.* FROM family AS f) AS a
INNER JOIN register.record_kind AS k ON a.kind = k.kind
ORDER BY k.rank, a.recorded_at, a.record_id;
$$;
REVOKE ALL ON FUNCTION register.citizen_as_of(uuid, timestamptz) FROM public, spk_register;

-- The records of a household as the register knew them at an instant.
CREATE OR REPLACE FUNCTION register.household_as_of(p_household_id uuid, p_at timestamptz)
RETURNS TABLE (
    kind text, record_id uuid, version integer, change_id bigint, recorded_at timestamptz,
    body jsonb
)
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
SELECT r.kind, r.record_id, r.version, r.change_id, r.recorded_at, r.body
FROM register.record AS r
WHERE r.household_id = p_household_id AND r.recorded_at <= p_at
UNION ALL
SELECT h.kind, h.record_id, h.version, h.change_id, h.recorded_from, h.body
FROM register.history AS h
WHERE h.household_id = p_household_id AND h.recorded_from <= p_at AND p_at < h.recorded_to;
$$;
REVOKE ALL ON FUNCTION register.household_as_of(uuid, timestamptz) FROM public, spk_register;

-- The whole file of a citizen, now or as of an instant; the read is logged with its purpose.
CREATE OR REPLACE FUNCTION register.read_citizen(
    p_citizen_id uuid, p_by text, p_purpose text, p_at timestamptz DEFAULT NULL
) RETURNS TABLE (
    kind text, record_id uuid, version integer, change_id bigint, recorded_at timestamptz,
    body jsonb
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    PERFORM register.log_read(
        p_by, p_purpose, 'file', ARRAY[p_citizen_id], '{}',
        ARRAY(SELECT k.kind FROM register.record_kind AS k ORDER BY k.rank)
    );
    RETURN QUERY SELECT f.*
    FROM register.citizen_as_of(p_citizen_id, coalesce(p_at, 'infinity'::timestamptz)) AS f;
END
$$;
REVOKE ALL ON FUNCTION register.read_citizen(uuid, text, text, timestamptz) FROM public;

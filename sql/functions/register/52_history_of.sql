-- Every version of a record, the first first: who made it, when, why, who approved; the row before
-- and after (NULL before the first and after a removal). The read is logged.
CREATE OR REPLACE FUNCTION register.history_of(
    p_kind text, p_record_id uuid, p_by text, p_purpose text
) RETURNS TABLE (
    version integer, made_at timestamptz, change_id bigint, made_by text, reason text,
    source text, approved_by text, undoes bigint, before jsonb, after jsonb
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    versions register.history[];
BEGIN
    SELECT array_agg(v ORDER BY v.version) INTO versions
    FROM (
        SELECT h.* FROM register.history AS h
        WHERE h.kind = p_kind AND h.record_id = p_record_id
        UNION ALL
        SELECT
            r.kind, r.record_id, r.version, r.recorded_at, 'infinity', r.change_id, 0,
            r.citizen_id, r.household_id, r.body
        FROM register.record AS r
        WHERE r.kind = p_kind AND r.record_id = p_record_id
    ) AS v;
    PERFORM register.log_read(
        p_by, p_purpose, 'history',
        ARRAY(SELECT DISTINCT v.citizen_id FROM unnest(versions) AS v WHERE v.citizen_id IS NOT NULL),
        ARRAY(
            SELECT DISTINCT v.household_id FROM unnest(versions) AS v
            WHERE v.household_id IS NOT NULL AND v.citizen_id IS NULL
        ),
        ARRAY[p_kind]
    );
    RETURN QUERY
    WITH told AS (
        SELECT
            v.version, v.recorded_from AS at, v.change_id,
            -- nothing is before a version that came after a removal
            CASE WHEN lag(v.ended_by) OVER w = v.change_id THEN lag(v.body) OVER w END AS before,
            v.body AS after
        FROM unnest(versions) AS v
        WINDOW w AS (ORDER BY v.version)
        UNION ALL
        SELECT v.version + 1, v.recorded_to, v.ended_by, v.body, NULL
        FROM unnest(versions) AS v
        WHERE v.ended_by <> 0 AND NOT EXISTS (
            SELECT FROM unnest(versions) AS n
            WHERE n.version = v.version + 1 AND n.change_id = v.ended_by
        )
    )

    SELECT
        t.version, t.at, c.change_id, c.made_by, c.reason, c.source, c.approved_by, c.undoes,
        t.before, t.after
    FROM told AS t
    INNER JOIN register.change AS c ON t.change_id = c.change_id
    ORDER BY t.at, t.version;
END
$$;
REVOKE ALL ON FUNCTION register.history_of(text, uuid, text, text) FROM public;

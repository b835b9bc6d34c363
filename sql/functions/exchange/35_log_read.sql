-- Note in the register who was told of whom: a row per person shown, a row for each household, and
-- one row for a question that found nobody.
CREATE OR REPLACE FUNCTION exchange.log_read(
    p_peer_id text, p_purpose text, p_needs_consent boolean, p_entity text, p_record_ids uuid[],
    p_parts text[]
) RETURNS void
LANGUAGE sql AS $$
INSERT INTO register.read_log (read_by, purpose, way, citizen_id, household_id, kinds)
SELECT p_peer_id, p_purpose, 'exchange', s.citizen_id, s.household_id, k.kinds
FROM (
    SELECT r.id AS citizen_id, NULL::uuid AS household_id
    FROM unnest(p_record_ids) AS r (id)
    WHERE p_entity = 'Member'
    UNION ALL
    SELECT
        CASE WHEN NOT p_needs_consent OR exchange.consented(m.citizen_id) THEN m.citizen_id END,
        m.household_id
    FROM unnest(p_record_ids) AS r (id)
    INNER JOIN register.household_member AS m ON r.id = m.household_id
    WHERE p_entity = 'Group'
    UNION ALL
    SELECT NULL, NULL WHERE cardinality(p_record_ids) = 0
) AS s
CROSS JOIN (
    SELECT array(
        SELECT v.kind
        FROM (VALUES
            ('citizen', NULL), ('address', 'address'), ('category', 'category'),
            ('entitlement', 'measure')
        ) AS v (kind, part)
        WHERE v.part IS NULL OR v.part = ANY(p_parts)
    ) || CASE WHEN p_entity = 'Group' THEN ARRAY['household', 'household_member'] END AS kinds
) AS k
$$;

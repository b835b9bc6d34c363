-- A household as the participant may see it: a Group with its members. Where consent is needed,
-- members who did not give it are counted and not shown.
CREATE OR REPLACE FUNCTION exchange.group_record(
    p_household_id uuid, p_parts text[], p_needs_consent boolean
) RETURNS jsonb
LANGUAGE sql STABLE AS $$
SELECT jsonb_strip_nulls(jsonb_build_object(
    '@type', 'Group',
    '@id', 'urn:uuid:' || h.household_id,
    'group_identifier', jsonb_build_array(jsonb_build_object(
        '@type', 'Identifier', 'identifier_type', 'HOUSEHOLD',
        'identifier_value', h.household_id
    )),
    'group_type', 'household',
    'registration_date', h.recorded_at,
    'place', CASE WHEN 'address' = ANY(p_parts) THEN
        jsonb_build_object('@type', 'Place', 'address', h.address)
    END,
    'group_size', count(*),
    'group_head_info', (array_agg(r.record) FILTER (WHERE m.relation = 'head'))[1],
    'member_list', coalesce(
        jsonb_agg(r.record ORDER BY m.citizen_id) FILTER (WHERE r.record IS NOT NULL), '[]'
    )
))
FROM register.household AS h
INNER JOIN register.household_member AS m ON h.household_id = m.household_id
LEFT JOIN LATERAL (
    SELECT exchange.member_record(m.citizen_id, p_parts) AS record
    WHERE NOT p_needs_consent OR exchange.consented(m.citizen_id)
) AS r ON TRUE
WHERE h.household_id = p_household_id
GROUP BY h.household_id
$$;

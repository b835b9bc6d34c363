-- A citizen as the participant may see them: a Member of the social registry's JSON-LD. Parts that
-- were not agreed are left out altogether.
CREATE OR REPLACE FUNCTION exchange.member_record(p_citizen_id uuid, p_parts text[])
RETURNS jsonb
LANGUAGE sql STABLE AS $$
SELECT jsonb_strip_nulls(jsonb_build_object(
    '@type', 'Member',
    '@id', 'urn:uuid:' || c.citizen_id,
    'member_identifier', CASE WHEN 'identifier' = ANY(p_parts) THEN i.identifiers END,
    'demographic_info', jsonb_build_object(
        '@type', 'SRPerson',
        'identifier', CASE WHEN 'identifier' = ANY(p_parts) THEN i.identifiers END,
        'name', CASE WHEN 'name' = ANY(p_parts) THEN jsonb_build_object(
            '@type', 'Name', 'surname', c.last_name, 'given_name', c.first_name,
            'second_name', c.patronymic
        ) END,
        'sex', CASE WHEN 'sex' = ANY(p_parts) THEN
            CASE c.sex WHEN 'm' THEN 'male' ELSE 'female' END
        END,
        'birth_date', CASE WHEN 'birth_date' = ANY(p_parts) THEN c.birth_date END,
        'address', CASE WHEN 'address' = ANY(p_parts) THEN jsonb_build_object(
            '@type', 'Address', 'region', r.name_ru, 'street_address', a.line,
            'postal_code', a.postal_code
        ) END,
        'death_date', CASE WHEN 'birth_date' = ANY(p_parts) THEN c.death_date END
    ),
    'is_disabled', CASE WHEN 'category' = ANY(p_parts) THEN
        coalesce(k.categories ?| ARRAY(
            SELECT b.category FROM register.benefit_category AS b
            WHERE b.category LIKE 'DISABLED.%'
        ), FALSE)
    END,
    'additional_attributes', CASE WHEN p_parts && '{category,measure}' THEN
        jsonb_build_array(jsonb_build_object(
            'benefit_categories',
            CASE WHEN 'category' = ANY(p_parts) THEN coalesce(k.categories, '[]') END,
            'measures',
            CASE WHEN 'measure' = ANY(p_parts) THEN coalesce(e.measures, '[]') END
        ))
    END,
    'registration_date', coalesce(f.recorded_from, c.recorded_at),
    'last_updated', c.recorded_at
))
FROM register.citizen AS c
INNER JOIN regulations.region AS r ON c.region = r.region
CROSS JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_object(
        '@type', 'Identifier', 'identifier_type', n.kind, 'identifier_value', n.number
    ) ORDER BY n.place) AS identifiers
    FROM (VALUES (1, 'SNILS', c.snils), (2, 'ENP', c.enp), (3, 'INN', c.inn))
        AS n (place, kind, number)
    WHERE n.number IS NOT NULL
) AS i
CROSS JOIN LATERAL (
    SELECT jsonb_agg(k.category ORDER BY k.category) AS categories
    FROM register.citizen_category AS k
    WHERE k.citizen_id = c.citizen_id AND current_date BETWEEN k.valid_from AND k.valid_to
) AS k
CROSS JOIN LATERAL (
    SELECT jsonb_agg(DISTINCT e.measure) AS measures
    FROM register.entitlement AS e
    WHERE e.citizen_id = c.citizen_id AND current_date BETWEEN e.valid_from AND e.valid_to
) AS e
LEFT JOIN LATERAL (
    SELECT d.line, d.postal_code FROM register.address AS d
    WHERE d.citizen_id = c.citizen_id
    ORDER BY array_position(ARRAY['actual', 'registered', 'temporary'], d.address_kind)
    LIMIT 1
) AS a ON TRUE
LEFT JOIN register.history AS f
    ON f.kind = 'citizen' AND c.citizen_id = f.record_id AND f.version = 1
WHERE c.citizen_id = p_citizen_id
$$;

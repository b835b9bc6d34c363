-- Who a fact is told about: the citizen, or the head of the household that holds the right, and
-- whether their name can be written there (type rus-100 of the schema).
CREATE OR REPLACE FUNCTION exchange.recipient(p_holder_id uuid)
RETURNS TABLE (citizen_id uuid, named boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
SELECT c.citizen_id, (
    SELECT bool_and(n.name ~ '^[а-яА-ЯёЁ0-9-][а-яА-ЯёЁ '',.-]{0,99}$')
    FROM unnest(ARRAY[c.last_name, c.first_name, c.patronymic]) AS n (name)
    WHERE n.name IS NOT NULL
)
FROM (
    SELECT s.citizen_id FROM register.citizen AS s WHERE s.citizen_id = p_holder_id
    UNION ALL
    SELECT m.citizen_id FROM register.household_member AS m
    WHERE m.household_id = p_holder_id AND m.relation = 'head'
) AS h
INNER JOIN register.citizen AS c ON h.citizen_id = c.citizen_id
$$;

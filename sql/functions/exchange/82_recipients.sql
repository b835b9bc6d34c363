-- Who the facts gathered for a month are told about: the citizen, or the head of the household that
-- holds the right, and whether their name can be written there (type rus-100 of the schema). All
-- holders at once: a million are matched by hashing, asked one by one they would take a minute.
CREATE OR REPLACE FUNCTION exchange.recipients(p_period date)
RETURNS TABLE (holder_id uuid, citizen_id uuid, named boolean)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 1000000
SET search_path = pg_catalog SET work_mem = '64MB' SET enable_nestloop = off AS $$
SELECT
    h.holder_id, c.citizen_id,
    -- the length apart: counted by the pattern, it takes twenty times as long
    greatest(length(c.last_name), length(c.first_name), length(c.patronymic)) <= 100
    AND c.last_name ~ '^[а-яА-ЯёЁ0-9-][а-яА-ЯёЁ '',.-]*$'
    AND c.first_name ~ '^[а-яА-ЯёЁ0-9-][а-яА-ЯёЁ '',.-]*$'
    AND coalesce(c.patronymic ~ '^[а-яА-ЯёЁ0-9-][а-яА-ЯёЁ '',.-]*$', TRUE)
FROM (
    SELECT DISTINCT g.holder_id FROM exchange.egisso_gathered AS g WHERE g.period = p_period
) AS h
LEFT JOIN register.household_member AS m
    ON h.holder_id = m.household_id AND m.relation = 'head'
INNER JOIN register.citizen AS c ON coalesce(m.citizen_id, h.holder_id) = c.citizen_id
$$;

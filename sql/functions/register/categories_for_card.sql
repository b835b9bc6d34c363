-- The benefit categories of a citizen on a day, each with its last day, for the social passport on
-- their card. The read is logged.
CREATE OR REPLACE FUNCTION register.categories_for_card(
    p_citizen_id uuid, p_on date, p_read_by text
) RETURNS TABLE (category text, valid_to date)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
INSERT INTO register.read_log (read_by, purpose, way, citizen_id, kinds)
VALUES (p_read_by, 'social passport', 'passport', p_citizen_id, ARRAY['citizen_category']);

SELECT c.category, max(c.valid_to)
FROM register.citizen_category AS c
WHERE c.citizen_id = p_citizen_id AND p_on BETWEEN c.valid_from AND c.valid_to
GROUP BY c.category
ORDER BY c.category;
$$;
REVOKE ALL ON FUNCTION register.categories_for_card(uuid, date, text) FROM public;
GRANT EXECUTE ON FUNCTION register.categories_for_card(uuid, date, text) TO spk_issuing;

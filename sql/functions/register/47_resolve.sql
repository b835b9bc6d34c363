-- The keys of the records that people name by a number: citizens by СНИЛС, households and plans by
-- their own. Who is not there is left out.
CREATE OR REPLACE FUNCTION register.resolve(p_kind text, p_numbers text[])
RETURNS TABLE (number text, record_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
SELECT c.snils, c.citizen_id FROM register.citizen AS c
WHERE p_kind = 'citizen' AND c.snils = ANY(p_numbers)
UNION ALL
SELECT h.number, h.household_id FROM register.household AS h
WHERE p_kind = 'household' AND h.number = ANY(p_numbers)
UNION ALL
SELECT p.number, p.record_id FROM register.service_plan AS p
WHERE p_kind = 'service_plan' AND p.number = ANY(p_numbers)
UNION ALL
SELECT p.number, p.record_id FROM register.rehabilitation_plan AS p
WHERE p_kind = 'rehabilitation_plan' AND p.number = ANY(p_numbers);
$$;
REVOKE ALL ON FUNCTION register.resolve(text, text[]) FROM public;

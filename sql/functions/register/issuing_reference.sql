-- The citizen with this id or СНИЛС (give one, leave the other NULL), as issuing may know them:
-- id, region and register version. No row: nobody.
CREATE OR REPLACE FUNCTION register.issuing_reference(p_citizen_id uuid, p_snils text)
RETURNS TABLE (citizen_id uuid, region smallint, register_version integer)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
SELECT c.citizen_id, c.region, c.version
FROM register.citizen AS c
WHERE c.citizen_id = p_citizen_id OR c.snils = p_snils;
$$;
REVOKE ALL ON FUNCTION register.issuing_reference(uuid, text) FROM public;
GRANT EXECUTE ON FUNCTION register.issuing_reference(uuid, text) TO spk_issuing;

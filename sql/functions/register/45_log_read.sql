-- Note who read what of whom, and what for: a row for each person or household shown.
CREATE OR REPLACE FUNCTION register.log_read(
    p_by text, p_purpose text, p_way text, p_citizen_ids uuid[], p_household_ids uuid[],
    p_kinds text[]
) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
INSERT INTO register.read_log (
    read_by, purpose, way, citizen_id, household_id, kinds
)
SELECT p_by, p_purpose, p_way, c.citizen_id, NULL, p_kinds
FROM unnest(p_citizen_ids) AS c (citizen_id)
UNION ALL
SELECT p_by, p_purpose, p_way, NULL, h.household_id, p_kinds
FROM unnest(p_household_ids) AS h (household_id)
UNION ALL
-- A question that found nobody was asked all the same.
SELECT p_by, p_purpose, p_way, NULL, NULL, p_kinds
WHERE cardinality(p_citizen_ids) = 0 AND cardinality(p_household_ids) = 0;
$$;
REVOKE ALL ON FUNCTION register.log_read(text, text, text, uuid[], uuid[], text[]) FROM public;

-- Who read a citizen's records, the latest first, up to `p_before` (a read_id; NULL: from the
-- latest). Reading is not logged in its turn: it shows no personal data.
CREATE OR REPLACE FUNCTION register.reads_of(p_citizen_id uuid, p_before bigint, p_count integer)
RETURNS TABLE (
    read_id bigint, read_at timestamptz, read_by text, purpose text, way text, kinds text[]
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
SELECT l.read_id, l.read_at, l.read_by, l.purpose, l.way, l.kinds
FROM register.read_log AS l
WHERE l.citizen_id = p_citizen_id AND l.read_id < coalesce(p_before, 9223372036854775807)
ORDER BY l.read_id DESC
LIMIT p_count;
$$;
REVOKE ALL ON FUNCTION register.reads_of(uuid, bigint, integer) FROM public;

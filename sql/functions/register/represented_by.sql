-- For whom a citizen's card may act on p_on or from a later day, since when and until when, and in
-- which services (NULL: in all): for the citizen; for the households in which the citizen is an
-- adult (18 years); as head or spouse of such a household, for its children, each until the day
-- before they turn 18; and for whom the register names them representative, in the services and for
-- the term that it says. Of several reasons to act for one holder the one that reaches furthest
-- counts; one that comes later, when there is none yet. valid_to NULL: for as long as the card is
-- valid.
-- Runs as the owner, so that issuing learns who is represented and nothing else about anybody.
CREATE OR REPLACE FUNCTION register.represented_by(p_citizen_id uuid, p_on date)
RETURNS TABLE (holder_id uuid, valid_from date, valid_to date, scope text[])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
WITH portrait AS (
    SELECT m.household_id, m.relation
    FROM register.household_member AS m
    INNER JOIN register.citizen AS c ON m.citizen_id = c.citizen_id
    WHERE m.citizen_id = p_citizen_id AND (c.birth_date + interval '18 years')::date <= p_on
)

SELECT DISTINCT ON (a.holder_id) a.holder_id, a.valid_from, a.valid_to, a.scope
FROM (
    SELECT c.citizen_id AS holder_id, p_on AS valid_from, NULL::date AS valid_to,
        NULL::text[] AS scope
    FROM register.citizen AS c
    WHERE c.citizen_id = p_citizen_id
    UNION ALL
    SELECT p.household_id, p_on, NULL, NULL
    FROM portrait AS p
    UNION ALL
    SELECT child.citizen_id, p_on, (child.birth_date + interval '18 years')::date - 1, NULL
    FROM portrait AS p
    INNER JOIN register.household_member AS m ON p.household_id = m.household_id
    INNER JOIN register.citizen AS child ON m.citizen_id = child.citizen_id
    WHERE
        p.relation IN ('head', 'spouse')
        AND m.relation = 'child'
        AND child.citizen_id <> p_citizen_id
        AND (child.birth_date + interval '18 years')::date > p_on
    UNION ALL
    SELECT r.citizen_id, greatest(r.valid_from, p_on), r.valid_to, r.scope
    FROM register.representative AS r
    WHERE
        r.representative_id = p_citizen_id AND (r.valid_to IS NULL OR r.valid_to >= p_on)
) AS a
ORDER BY a.holder_id, a.valid_from, a.scope IS NOT NULL, a.valid_to DESC NULLS FIRST;
$$;
REVOKE ALL ON FUNCTION register.represented_by(uuid, date) FROM public;
GRANT EXECUTE ON FUNCTION register.represented_by(uuid, date) TO spk_issuing;

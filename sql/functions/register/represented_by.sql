-- For whom a citizen's card may act on p_on: for the citizen; for the households in which the
-- citizen is an adult (18 years); and, as head or spouse of such a household, for its children,
-- each until the day before they turn 18; and for whom the register names them representative for
-- all services, as long as it says. valid_to NULL: for as long as the card is valid.
-- Runs as the owner, so that issuing learns who is represented and nothing else about anybody.
CREATE OR REPLACE FUNCTION register.represented_by(p_citizen_id uuid, p_on date)
RETURNS TABLE (holder_id uuid, valid_to date)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
WITH portrait AS (
    SELECT m.household_id, m.relation
    FROM register.household_member AS m
    INNER JOIN register.citizen AS c ON m.citizen_id = c.citizen_id
    WHERE m.citizen_id = p_citizen_id AND (c.birth_date + interval '18 years')::date <= p_on
)

SELECT a.holder_id, CASE WHEN bool_and(a.valid_to IS NOT NULL) THEN max(a.valid_to) END
FROM (
    SELECT c.citizen_id AS holder_id, NULL::date AS valid_to
    FROM register.citizen AS c
    WHERE c.citizen_id = p_citizen_id
    UNION
    SELECT p.household_id, NULL::date
    FROM portrait AS p
    UNION
    SELECT child.citizen_id, (child.birth_date + interval '18 years')::date - 1
    FROM portrait AS p
    INNER JOIN register.household_member AS m ON p.household_id = m.household_id
    INNER JOIN register.citizen AS child ON m.citizen_id = child.citizen_id
    WHERE
        p.relation IN ('head', 'spouse')
        AND m.relation = 'child'
        AND child.citizen_id <> p_citizen_id
        AND (child.birth_date + interval '18 years')::date > p_on
    UNION
    SELECT r.citizen_id, r.valid_to
    FROM register.representative AS r
    WHERE
        r.representative_id = p_citizen_id
        -- a card's authority is written for all services: one for some is left to a person
        AND r.scope IS NULL
        AND r.valid_from <= p_on
        AND (r.valid_to IS NULL OR r.valid_to >= p_on)
) AS a
GROUP BY a.holder_id;
$$;
REVOKE ALL ON FUNCTION register.represented_by(uuid, date) FROM public;
GRANT EXECUTE ON FUNCTION register.represented_by(uuid, date) TO spk_issuing;

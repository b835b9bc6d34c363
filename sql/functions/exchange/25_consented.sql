-- Whose consent to be told of to other agencies stands now. Without a search path of its own, so
-- that the planner puts it into the query.
CREATE OR REPLACE FUNCTION exchange.consenting() RETURNS TABLE (citizen_id uuid)
LANGUAGE sql STABLE AS $$
SELECT k.citizen_id FROM register.consent AS k
WHERE k.scope = 'exchange' AND k.given_on <= current_date
    AND (k.withdrawn_on IS NULL OR k.withdrawn_on > current_date)
$$;

-- Whether a citizen's does.
CREATE OR REPLACE FUNCTION exchange.consented(p_citizen_id uuid) RETURNS boolean
LANGUAGE sql STABLE AS $$
SELECT EXISTS (SELECT FROM exchange.consenting() AS k WHERE k.citizen_id = p_citizen_id)
$$;

-- Whether a citizen's consent to be told of to other agencies stands now.
CREATE OR REPLACE FUNCTION exchange.consented(p_citizen_id uuid) RETURNS boolean
LANGUAGE sql STABLE AS $$
SELECT EXISTS (
    SELECT FROM register.consent AS k
    WHERE k.citizen_id = p_citizen_id AND k.scope = 'exchange' AND k.given_on <= current_date
        AND (k.withdrawn_on IS NULL OR k.withdrawn_on > current_date)
)
$$;

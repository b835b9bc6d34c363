-- Prolong by a year, as one change, the policies that go on by themselves and end within p_days of
-- p_today, or have ended; with them the citizens' entitlements to medical care (funded by ОМС) that
-- ended no later, and the categories that opened these. Dead people's are left. Returns how many
-- policies; again changes nothing.
CREATE OR REPLACE FUNCTION register.prolong_policies(p_today date, p_days integer)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    due uuid[];
    made bigint;
BEGIN
    SELECT array_agg(f.record_id) INTO due
    FROM (
        SELECT p.record_id FROM register.policy AS p
        INNER JOIN register.citizen AS c ON p.citizen_id = c.citizen_id
        WHERE p.prolongs AND p.valid_to <= p_today + p_days AND c.death_date IS NULL
        FOR UPDATE OF p
    ) AS f;
    IF due IS NULL THEN
        RETURN 0;
    END IF;
    made := register.begin_change(
        'spk register prolong-policies', 'автоматическое продление полисов ОМС', 'task'
    );
    UPDATE register.policy AS p SET valid_to = (
        -- by as many years as bring it past the time looked ahead to
        p.valid_to + make_interval(
            years => 1 + extract(YEAR FROM age(p_today + p_days, p.valid_to))::integer
        )
    )::date
    WHERE p.record_id = ANY(due);
    UPDATE register.entitlement AS e SET valid_to = p.valid_to
    FROM register.policy AS p, regulations.measure AS m
    WHERE
        p.change_id = made AND e.citizen_id = p.citizen_id
        AND e.measure = m.measure AND m.funding = 'oms'
        AND e.valid_from <= p.valid_to AND e.valid_to < p.valid_to
        AND NOT EXISTS (
            SELECT FROM register.entitlement AS n
            WHERE
                n.citizen_id = e.citizen_id AND n.measure = e.measure
                AND n.record_id <> e.record_id AND n.valid_from > e.valid_to
        );
    UPDATE register.citizen_category AS g SET valid_to = e.valid_to
    FROM register.entitlement AS e
    WHERE
        e.change_id = made AND g.citizen_id = e.citizen_id AND g.category = e.category
        AND g.valid_from <= e.valid_to AND g.valid_to < e.valid_to
        AND NOT EXISTS (
            SELECT FROM register.citizen_category AS n
            WHERE
                n.citizen_id = g.citizen_id AND n.category = g.category
                AND n.record_id <> g.record_id AND n.valid_from > g.valid_to
        );
    PERFORM register.pass_rights_on(made);
    RETURN cardinality(due);
END
$$;
REVOKE ALL ON FUNCTION register.prolong_policies(date, integer) FROM public;

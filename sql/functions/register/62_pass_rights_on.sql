-- Give the rights that rest on a change to the database that serves their holders: to this one now,
-- in the same transaction; to others by register.rights_delivery. Raises exclusion_violation
-- named `nothing_pays` for a prescription without an entitlement that pays for it, `item_unknown`
-- for what no item is rung up for.
CREATE OR REPLACE FUNCTION register.pass_rights_on(p_change_id bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    against CONSTANT text := register.unpayable(p_change_id);
BEGIN
    IF against IS NOT NULL THEN
        RAISE EXCEPTION 'rights cannot rest on the change: %', against
            USING ERRCODE = 'exclusion_violation', CONSTRAINT = against;
    END IF;
    INSERT INTO register.rights_delivery (bucket, action, body)
    SELECT r.bucket, r.action, r.body
    FROM (
        SELECT * FROM register.rights_of_change(p_change_id)
        UNION ALL
        SELECT * FROM register.facts_of_change(p_change_id)
    ) AS r
    ORDER BY array_position(ARRAY['withdraw', 'entitlement', 'allowance', 'facts'], r.action);
    PERFORM register.deliver_here();
END
$$;
REVOKE ALL ON FUNCTION register.pass_rights_on(bigint) FROM public, spk_register;

-- Take over what is due to this very database, so many at a time that memory stays bounded.
CREATE OR REPLACE FUNCTION register.deliver_here() RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog AS $$
DECLARE
    actions text[];
    bodies jsonb[];
BEGIN
    LOOP
        WITH due AS (
            DELETE FROM register.rights_delivery AS d
            WHERE d.delivery_id IN (
                SELECT w.delivery_id FROM register.rights_delivery AS w
                INNER JOIN rights.target AS t ON w.bucket BETWEEN t.first_bucket AND t.last_bucket
                ORDER BY w.delivery_id LIMIT 10000
            )
            RETURNING d.delivery_id, d.action, d.body
        )

        SELECT
            array_agg(d.action ORDER BY d.delivery_id), array_agg(d.body ORDER BY d.delivery_id)
        INTO actions, bodies
        FROM due AS d;
        EXIT WHEN actions IS NULL;
        PERFORM rights.accept(actions, bodies);
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION register.deliver_here() FROM public, spk_register;

-- Why no right can rest on a record of a change; NULL: nothing stands against it.
CREATE OR REPLACE FUNCTION register.unpayable(p_change_id bigint) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
SELECT CASE
    WHEN EXISTS (
        SELECT FROM (
            SELECT p.item_class FROM register.prescription AS p WHERE p.change_id = p_change_id
            UNION ALL
            SELECT l.item_class FROM register.service_plan_line AS l
            WHERE l.change_id = p_change_id
            UNION ALL
            SELECT s.item_class FROM register.school_meals AS s WHERE s.change_id = p_change_id
        ) AS w
        WHERE NOT EXISTS (
            SELECT FROM regulations.item AS i WHERE i.item_class = w.item_class
        )
    ) THEN 'item_unknown'
    WHEN EXISTS (
        SELECT FROM register.prescription AS p
        WHERE p.change_id = p_change_id AND NOT EXISTS (
            SELECT FROM register.allowances_of_change(p_change_id) AS a
            WHERE a.allowance_id = p.record_id
        )
    ) THEN 'nothing_pays'
END;
$$;
REVOKE ALL ON FUNCTION register.unpayable(bigint) FROM public, spk_register;

-- What other databases do not know yet, the oldest first; and that they know it now. Who looks is
-- the only one to tell them until the transaction ends, so that nothing old arrives after the new.
CREATE OR REPLACE FUNCTION register.rights_due(p_first smallint, p_last smallint, p_count integer)
RETURNS TABLE (delivery_id bigint, action text, body jsonb)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('register.rights_due'), p_first);
    RETURN QUERY
    SELECT d.delivery_id, d.action, d.body
    FROM register.rights_delivery AS d
    WHERE d.bucket BETWEEN p_first AND p_last
    ORDER BY d.delivery_id
    LIMIT p_count;
END
$$;
REVOKE ALL ON FUNCTION register.rights_due(smallint, smallint, integer) FROM public;

CREATE OR REPLACE FUNCTION register.rights_delivered(p_delivery_ids bigint[]) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
DELETE FROM register.rights_delivery AS d WHERE d.delivery_id = ANY(p_delivery_ids);
$$;
REVOKE ALL ON FUNCTION register.rights_delivered(bigint[]) FROM public;
